//! The simulated tenant behind a real socket, for tests of what talks to one.

use std::{
    sync::{Arc, Mutex, mpsc},
    thread,
};

use tokio::{net::TcpListener, runtime::Builder, sync::oneshot};
use vcq::simulator::{Simulator, http};

/// Serves the simulator on a free port of loopback while `talk` speaks to it at the given URL.
pub(crate) fn serve_while<T>(simulator: Simulator, talk: impl FnOnce(&str) -> T) -> (Simulator, T) {
    let simulator = Arc::new(Mutex::new(simulator));
    let shared = Arc::clone(&simulator);
    let (url_sender, url) = mpsc::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            url_sender.send(format!("http://{}", listener.local_addr().unwrap())).unwrap();
            let wall = || "2025-04-10T00:00:00Z".parse().unwrap();
            http::serve(listener, shared, wall, async {
                let _ = stopped.await;
            })
            .await
            .unwrap();
        });
    });
    let said = talk(&url.recv().unwrap());
    drop(stop);
    server.join().unwrap();
    (Arc::into_inner(simulator).unwrap().into_inner().unwrap(), said)
}
