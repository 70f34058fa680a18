//! `vcq archive import`: pages that were paid for land again, without a request.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use chrono::{FixedOffset, NaiveDate};
use chrono_tz::Tz;

use crate::{
    archive::{ArchiveError, ArchiveReader, ArchivedListing, Entry, Form, ListingOf, Of, Refusal, Refused},
    config::Config,
    dates::day_span_s,
    error::{Error, ExitCode},
    feishu::{Unusable, page::Next, read_stored},
    journal::{
        ArchivedListedPage, ArchivedPage, Contents, Identity, Import, Journal, LandedListedPage, ListedOf,
        ListingsTaken, Manifested, State, Taken, TakenListed,
    },
    listings,
    manifest::rules::Rules,
    observe::report::Texts,
    printable::Printable,
    publish::{Publication, Publisher, listed::ListedPublication},
    read::decode::Unknown,
    start::Start,
    stay::partition_date,
    words::Count,
};

/// Refused pages that are listed one by one; further ones are counted, and logged at level debug.
pub const REFUSALS_LISTED_MAX: usize = 20;

/// What became of the archives' pages.
#[derive(Debug, Default)]
pub struct Imported {
    /// What times without a zone were taken for, if anything.
    pub naive_times: Option<FixedOffset>,
    /// Pages in the archives: what follows adds up to it.
    pub pages: u64,
    /// Pages that have landed now.
    pub landed: u64,
    /// Pages that had landed before.
    pub known: u64,
    /// Pages that had landed before and been pruned, and whose bodies are there again.
    pub restored: u64,
    /// Pages without the pages of their stay that come before them.
    pub unreached: u64,
    /// Errors of the API that stand in the place of a page.
    pub api_errors: u64,
    /// Pages that break a rule.
    pub refused: u64,
    /// The first of these: archive, line and reason.
    pub refusals: Vec<String>,
    /// Samples in the pages that have landed now.
    pub samples: u64,
    /// Stays of the archives that have all their pages.
    pub done: u64,
    /// Stays of the archives that wait in the queue for the rest of theirs.
    pub pending: u64,
    /// Stays of the archives that the API has no data of, as it told an earlier run.
    pub absent: u64,
    /// Stays of the archives that the API refused, or that were given up.
    pub failed: u64,
    /// Listings of the archives.
    pub listings: ListingsTaken,
    /// Stays that listings name, and of which the archives have no page.
    pub stays_without_pages: u64,
    /// What has been published: the dates of these stays on which nothing is left to be asked for.
    pub publications: Vec<Publication>,
    /// Files of meetings and participants that have been published.
    pub listed_publications: Vec<ListedPublication>,
    /// Dates of these stays that are not published yet, because some of their stays are pending.
    pub unpublished: Vec<NaiveDate>,
    /// Why the archives could not be read to their end, if that is so; what was read before stays landed.
    pub unread: Option<Error>,
    /// Why something could not be published, if that is so; what has landed stays landed.
    pub failure: Option<Error>,
}

/// Lands the pages of the archives, and publishes the dates that they complete, as an export does.
///
/// Each page is checked as an answer is; one that breaks a rule is counted and the others go on. The stays that are not
/// complete join the lane `backfill`, with their pages from the first one on as far as there is no gap. What only listings name, and
/// the archives have no page of, is asked for by the next run that names its date or its stay. The same import again changes nothing.
///
/// # Errors
///
/// [`Error::Upstream`] while another process fetches: only one lands pages. [`Error::Archive`] if a file is no archive,
/// before anything has landed. One that cannot be read to its end is told [by the account](Imported::unread): what was
/// read before has landed and is published as after a whole one.
pub fn import(archives: &[PathBuf], config: &Config, start: &Start) -> Result<Imported, Error> {
    let forms = archives.iter().map(|path| super::form_of(path)).collect::<Result<Vec<_>, _>>()?;
    let rules = Rules { now_s: start.now().timestamp(), naive_times: config.naive_times };
    for (path, form) in archives.iter().zip(&forms).filter(|(path, _)| !path.exists() || path.is_file()) {
        ArchiveReader::open(*form, path, &rules).map_err(|source| unreadable(path, source))?;
    }
    let publisher = Publisher::of(&start.stores(config), config)?;
    let mut journal = Journal::open(&config.state, &Identity::of(config))?;
    let Some(_fetching) = journal.try_lock_fetching()? else {
        return Err(Error::Upstream("another process is fetching into this journal, or importing".into()));
    };
    let mut landing = Importing {
        archives,
        config,
        start,
        import: journal.import(config.timezone, rules.now_s)?,
        imported: Imported { naive_times: config.naive_times, ..Imported::default() },
    };
    for (file, form) in (0_u32..).zip(forms) {
        landing.take_file(file, form, &rules)?;
        if landing.imported.unread.is_some() {
            break;
        }
    }
    let mut imported = landing.finish()?;
    imported.tally(&journal)?;
    imported.publish(&mut journal, &publisher)?;
    Ok(imported)
}

fn unreadable(path: &Path, source: ArchiveError) -> Error {
    Error::Archive { file: path.display().to_string(), source }
}

/// An import under way.
struct Importing<'a> {
    archives: &'a [PathBuf],
    config: &'a Config,
    start: &'a Start,
    import: Import<'a>,
    imported: Imported,
}

impl Importing<'_> {
    fn take_file(&mut self, file: u32, form: Form, rules: &Rules) -> Result<(), Error> {
        let path = &self.archives[file as usize];
        let unread = match ArchiveReader::open(form, path, rules) {
            Ok(mut reader) => loop {
                match reader.next_entry(rules) {
                    Ok(Some((line, page))) => self.take_line(page, Manifested { file, line })?,
                    Ok(None) => return Ok(()),
                    Err(unread) => break unread,
                }
            },
            Err(unread) => unread,
        };
        self.imported.unread = Some(unreadable(path, unread));
        Ok(())
    }

    fn take_line(&mut self, page: Result<Entry<'_>, Refused>, at: Manifested) -> Result<(), Error> {
        self.imported.pages += 1;
        self.start.count("pages", self.imported.pages, None);
        match page {
            Ok(page) => self.take(&page, at),
            Err(refused) => {
                self.refuse(at, &refused.why);
                Ok(())
            }
        }
    }

    fn take(&mut self, page: &Entry<'_>, at: Manifested) -> Result<(), Error> {
        let (items, next_token) = match read(page) {
            Ok(read) => read,
            Err(None) => {
                self.imported.api_errors += 1;
                return Ok(());
            }
            Err(Some(refusal)) => {
                self.refuse(at, &refusal);
                return Ok(());
            }
        };
        let (number, next_token, body) = (page.number, next_token.as_deref(), page.body.as_bytes());
        match &page.of {
            Of::Stay(stay) => {
                let taken = self.import.take(&ArchivedPage { stay, number, samples: items, next_token, body, at })?;
                if taken != Taken::Parked {
                    self.imported.count(taken, number, items, (&self.archives[at.file as usize], at.line));
                }
            }
            Of::Listing(ArchivedListing { of, begun_at_s, landed }) => match listed(of, self.config.timezone) {
                Ok(of) => {
                    let page = LandedListedPage { of, begun_at_s: *begun_at_s, number, body };
                    let page = ArchivedListedPage { page, landed: *landed, items, next_token, at };
                    if !self.import.park_listed(&page)? {
                        self.refuse(at, &Refusal::PlaceTwice(*landed));
                    }
                }
                Err(refusal) => self.refuse(at, &refusal),
            },
        }
        Ok(())
    }

    fn refuse(&mut self, at: Manifested, refusal: &Refusal) {
        self.imported.refuse(&self.archives[at.file as usize], at.line, refusal);
    }

    fn finish(self) -> Result<Imported, Error> {
        let Self { archives, import, mut imported, config, .. } = self;
        let listed = import.finish(|at, number, samples, taken| {
            imported.count(taken, number, samples, (&archives[at.file as usize], at.line));
            Ok::<_, Error>(())
        })?;
        let offset = config.api.naive_utc_offset;
        let contents = |of: &ListedOf, begun_at_s: i64, body: &[u8]| {
            let unknown = &mut Unknown::default();
            match of {
                ListedOf::Date(_) => {
                    listings::meetings(body, offset, unknown).ok().map(|page| Contents::Meetings(page.meetings))
                }
                ListedOf::Meeting(meeting) => {
                    listings::attendances(body, meeting, offset, begun_at_s, unknown).ok().map(Contents::Attendances)
                }
            }
        };
        imported.listings = listed.finish(contents, |at, number, taken| {
            imported.count_listed(taken, number, (&archives[at.file as usize], at.line));
            Ok::<_, Error>(())
        })?;
        Ok(imported)
    }
}

/// What was listed, in a journal whose dates are those of `zone`.
fn listed(of: &ListingOf, zone: Tz) -> Result<ListedOf, Refusal> {
    match of {
        ListingOf::Meeting(meeting) => Ok(ListedOf::Meeting(*meeting)),
        ListingOf::Window(span_s) => {
            let date = partition_date(span_s.start, zone);
            if day_span_s(date, zone) == *span_s { Ok(ListedOf::Date(date)) } else { Err(Refusal::Window(zone)) }
        }
    }
}

/// The page's items, and the token of the page after it. The error is `None` for an error of the API.
fn read(page: &Entry<'_>) -> Result<(u32, Option<String>), Option<Refusal>> {
    let read = read_stored(page.of.endpoint(), page.body.as_bytes()).map_err(|unusable| match unusable {
        Unusable::Error(_) => None,
        Unusable::Unreadable => Some(Refusal::Unreadable),
    })?;
    match read.next {
        Next::End => Ok((read.items, None)),
        Next::TokenMissing => Err(Some(Refusal::TokenMissing)),
        Next::Token(token) => Ok((read.items, Some(token))),
    }
}

impl Imported {
    fn count(&mut self, taken: Taken, number: u32, samples: u32, at: (&Path, u64)) {
        let mut refuse = |refusal| self.refuse(at.0, at.1, &refusal);
        match taken {
            Taken::Landed => {
                self.landed += 1;
                self.samples += u64::from(samples);
            }
            Taken::Known => self.known += 1,
            Taken::Restored => self.restored += 1,
            Taken::Parked => self.unreached += 1,
            Taken::Differs => refuse(Refusal::Differs(number)),
            Taken::AfterLast => refuse(Refusal::AfterLast(number)),
            Taken::TokenRepeated => refuse(Refusal::TokenRepeated(number)),
        }
    }

    fn count_listed(&mut self, taken: TakenListed, number: u32, at: (&Path, u64)) {
        let mut refuse = |refusal| self.refuse(at.0, at.1, &refusal);
        match taken {
            TakenListed::Landed { stays } => {
                self.landed += 1;
                self.stays_without_pages += u64::from(stays);
            }
            TakenListed::Known => self.known += 1,
            TakenListed::Restored => self.restored += 1,
            TakenListed::Unreached => self.unreached += 1,
            TakenListed::Differs => refuse(Refusal::Differs(number)),
            TakenListed::AfterLast => refuse(Refusal::AfterLast(number)),
            TakenListed::TokenRepeated => refuse(Refusal::TokenRepeated(number)),
            TakenListed::Older => refuse(Refusal::OlderListing),
            TakenListed::Unreadable => refuse(Refusal::Unreadable),
        }
    }

    fn refuse(&mut self, archive: &Path, line: u64, refusal: &Refusal) {
        let refused = format!("{}:{line}: {refusal}", archive.display());
        tracing::debug!(refused, "page refused");
        self.refused += 1;
        if self.refusals.len() < REFUSALS_LISTED_MAX {
            self.refusals.push(refused);
        }
    }

    fn tally(&mut self, journal: &Journal) -> Result<(), Error> {
        for (state, _, tally) in journal.tally()? {
            match state {
                State::Done => self.done += tally.stays,
                State::Pending | State::Young => self.pending += tally.stays,
                State::Absent => self.absent += tally.stays,
                State::Rejected | State::Failed => self.failed += tally.stays,
            }
        }
        Ok(())
    }

    fn publish(&mut self, journal: &mut Journal, publisher: &Publisher) -> Result<(), Error> {
        let publishing = publisher.begin(journal)?;
        let mut failure = publishing.settle_intents(journal);
        publishing.append_settled(
            journal,
            |_, _| Ok(false),
            |_, appended| {
                let failed = appended.map(|publication| self.publications.push(publication));
                failure = std::mem::replace(&mut failure, Ok(())).and(failed);
            },
        )?;
        for date in journal.unpublished_dates()? {
            if journal.is_own_unpublished(date)? && !journal.is_ready(date)? {
                self.unpublished.push(date);
            }
        }
        publishing.publish_listed(journal, None, |_, published| {
            let failed = published.map(|publication| self.listed_publications.push(publication));
            failure = std::mem::replace(&mut failure, Ok(())).and(failed);
        })?;
        self.failure = failure.err();
        Ok(())
    }

    /// 65 if some pages were refused.
    pub fn exit_code(&self) -> ExitCode {
        if self.refused > 0 { ExitCode::SomeFailed } else { ExitCode::Complete }
    }
}

impl fmt::Display for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pages, landed, known, restored, unreached, api_errors, refused, .. } = self;
        writeln!(
            f,
            "pages      {pages} = {landed} landed + {known} known + {restored} restored + {unreached} without those \
             before them + {api_errors} errors of the API + {refused} refused"
        )?;
        writeln!(f, "landed     {}", Count(self.samples, "sample"))?;
        write!(f, "stays      {} complete, {} pending", self.done, self.pending)?;
        for (count, state) in [(self.absent, "absent"), (self.failed, "refused or given up")] {
            if count > 0 {
                write!(f, ", {count} {state}")?;
            }
        }
        writeln!(f)?;
        let ListingsTaken { whole, incomplete, without_participants } = self.listings;
        if whole + incomplete > 0 {
            write!(f, "listings   {whole} complete, {incomplete} incomplete")?;
            if without_participants + self.stays_without_pages > 0 {
                write!(
                    f,
                    "; {without_participants} meetings and {} stays without a page: `vcq discover` and `vcq export --discover` of \
                     their dates ask for them",
                    self.stays_without_pages
                )?;
            }
            writeln!(f)?;
        }
        if let Some(offset) = self.naive_times {
            writeln!(f, "times      those without a zone are taken for {offset}")?;
        }
        for refusal in &self.refusals {
            writeln!(f, "refused    {}", Printable(refusal))?;
        }
        if self.refused > self.refusals.len() as u64 {
            writeln!(f, "           all of them: --log debug")?;
        }
        for Publication { file, name, bytes, .. } in &self.publications {
            writeln!(
                f,
                "published  date={}/{name}  {}  {}  {bytes} bytes",
                file.date,
                Count(file.stays, "stay"),
                Count(file.samples, "row")
            )?;
        }
        for publication in &self.listed_publications {
            writeln!(f, "published  {publication}")?;
        }
        let mut texts = Texts::of(&self.publications);
        for ListedPublication { file, unparsed, unknown, .. } in &self.listed_publications {
            texts.add_listed(file.dataset.name(), unparsed, unknown);
        }
        write!(f, "{texts}")?;
        for date in &self.unpublished {
            writeln!(f, "waiting    date={date}  the next `vcq export` asks for what is pending and publishes it")?;
        }
        Ok(())
    }
}
