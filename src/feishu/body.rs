//! Bodies on their way: how much of them may be in memory at a time.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::BODY_BYTES_MAX;

/// What each body may have in memory beside the others: several usual pages.
pub const SMALL_BYTES: u32 = 256 << 10;

/// Reads bodies, of which one at a time may be larger than some usual pages: until it is dropped, others that become so wait,
/// and the network holds back what they would have brought.
#[derive(Debug)]
pub struct Bodies {
    large: Arc<Semaphore>,
}

impl Default for Bodies {
    fn default() -> Self {
        Self { large: Arc::new(Semaphore::new(1)) }
    }
}

impl Bodies {
    /// The whole body whose next part comes from `next`; `None` ends it.
    ///
    /// # Errors
    ///
    /// What `next` fails with, or what `too_large` says of a body of more than [`BODY_BYTES_MAX`].
    pub async fn read<E>(
        &self,
        mut next: impl AsyncFnMut() -> Result<Option<Bytes>, E>,
        too_large: impl FnOnce() -> E,
    ) -> Result<Bytes, E> {
        let mut body = BytesMut::new();
        let mut large = None;
        while let Some(part) = next().await? {
            if body.len() + part.len() > BODY_BYTES_MAX {
                return Err(too_large());
            }
            if large.is_none() && body.len() + part.len() > SMALL_BYTES as usize {
                large = Arc::clone(&self.large).acquire_owned().await.ok();
            }
            body.extend_from_slice(&part);
        }
        let body = body.freeze();
        Ok(match large {
            None => body,
            Some(turn) => Bytes::from_owner(Large { body, _turn: turn }),
        })
    }
}

/// A large body, and the turn of it, which ends when nobody needs it any more: it has landed by then.
struct Large {
    body: Bytes,
    _turn: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Large {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures_util::future::join;
    use tokio::task::yield_now;

    use super::*;

    /// Two bodies side by side, a part of each at a time; the most that both had in memory.
    async fn most_at_a_time(parts: usize, part: usize) -> usize {
        let bodies = Bodies::default();
        let (now, most) = (Cell::new(0), Cell::new(0));
        let read = async || {
            let mut left = parts;
            let body = bodies.read(
                async || {
                    yield_now().await;
                    if left == 0 {
                        return Ok::<_, ()>(None);
                    }
                    left -= 1;
                    now.set(now.get() + part);
                    most.set(most.get().max(now.get()));
                    Ok(Some(Bytes::from(vec![b' '; part])))
                },
                || (),
            );
            let body = body.await.unwrap();
            now.set(now.get() - body.len());
            assert_eq!(body.len(), parts * part);
        };
        join(read(), read()).await;
        most.get()
    }

    #[tokio::test]
    async fn one_large_body_at_a_time_is_on_its_way() {
        const PART: usize = 64 << 10;
        assert_eq!(most_at_a_time(4, PART).await, 2 * 4 * PART, "small ones are side by side");
        let most = most_at_a_time(160, PART).await;
        assert!(most <= 160 * PART + SMALL_BYTES as usize + PART, "{most}");
    }

    #[tokio::test]
    async fn a_body_has_its_limit() {
        let bodies = Bodies::default();
        let part = Bytes::from(vec![b' '; BODY_BYTES_MAX / 4]);
        for (parts, fits) in [(4, true), (5, false)] {
            let mut left = parts;
            let read = bodies.read(
                async || {
                    left -= 1;
                    Ok::<_, ()>((left >= 0).then(|| part.clone()))
                },
                || (),
            );
            assert_eq!(read.await.is_ok(), fits, "{parts}");
        }
        assert_eq!(bodies.large.available_permits(), 1);
    }
}
