//! One act, cut off and played again, and what must hold after each.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    process::Output,
};

use rusqlite::Connection;
use vcq::simulator::{
    Simulator,
    tenant::{SimulatedStay, StayKey, UserIdType},
};

use super::{
    scene::{Act, Stage, copy, entries, name_of, simulator, throttled_page, vcq},
    server::serve_while,
    strace::Cut,
};

/// A page: the tenant's name of the stay, and the index of the page's first sample.
pub(crate) type Page = (StayKey, u32);

/// An act under way, from one process to the next.
pub(crate) struct Trial<'a> {
    act: &'a Act,
    pub(crate) stage: Stage,
    /// What is being tried, for messages.
    pub(crate) what: String,
    simulator: Option<Simulator>,
    paid: Paid,
}

/// What has been paid for at some moment.
#[derive(Debug)]
struct Paid {
    /// The pages that the journal holds, and the first page of each stay that was refused for good.
    pages: BTreeSet<Page>,
    /// How often the server was asked for each page.
    asked: BTreeMap<Page, u32>,
}

impl<'a> Trial<'a> {
    pub(crate) fn new(act: &'a Act, what: String) -> Self {
        let (stage, simulator) = (act.stage(), simulator());
        let paid = Paid::of(&stage, &simulator);
        Self { act, stage, what, simulator: Some(simulator), paid }
    }

    /// Plays the act to where `cut` ends it, and then again; returns how the first one ended, and how many of its calls
    /// were made to fail.
    pub(crate) fn cut_and_play_again(act: &'a Act, cut: &Cut) -> (Output, usize) {
        let mut trial = Self::new(act, format!("{}, {cut}", act.name));
        let mut struck = 0;
        let output = trial.play(|trial, url| {
            let (output, count) = cut.run(&act.command(&trial.stage, url), &act.paths(&trial.stage, cut.on));
            struck = count;
            output
        });
        trial.play_to_its_end();
        (output, struck)
    }

    /// Lets one process play the act, or a part of it, and checks what holds at any moment: under the dataset stand
    /// true rows in whole files, nothing that has landed is lost or was asked for, and nothing else was twice.
    pub(crate) fn play(&mut self, play: impl FnOnce(&Self, &str) -> Output) -> Output {
        let simulator = self.simulator.take().expect("the last server has ended");
        let (simulator, output) = serve_while(simulator, |url| play(self, url));
        let paid = Paid::of(&self.stage, &simulator);
        assert!(self.stage.rows().is_subset(&self.act.rows), "{}: rows that nobody sent", self.what);
        self.paid.check_next(&paid, &self.what);
        (self.simulator, self.paid) = (Some(simulator), paid);
        output
    }

    /// Plays the act undisturbed, and checks that it ends as if it had never been disturbed.
    pub(crate) fn play_to_its_end(mut self) {
        let Self { act, what, .. } = &self;
        let (act, what) = (*act, what.clone());
        let output = self.play(|trial, url| act.command(&trial.stage, url).output().unwrap());
        assert_eq!(output.status.code(), Some(act.exit_code), "{what}: {}", said(&output));
        assert!(self.stage.rows() == act.rows, "{what}: fewer rows than undisturbed");
        let verified = vcq(self.stage.path(), "http://127.0.0.1:1", "verify").output().unwrap();
        assert_eq!(verified.status.code(), Some(0), "{what}: {}", said(&verified));
        // What a rebuild retires stays until there is another publisher: someone may be reading it.
        let is_retired =
            |path: &PathBuf| (act.line == "rebuild" || act.name == "varied") && name_of(path).starts_with("date=");
        let staging = entries(&self.stage.path().join("quality.staging"));
        let left: Vec<_> = staging.iter().filter(|path| !is_retired(path)).collect();
        assert!(left.is_empty(), "{what}: left in staging: {left:?}");
    }
}

impl Trial<'_> {
    /// Where done stays have more samples than there are rows, `vcq verify` says so; whatever it finds, it ends.
    pub(crate) fn check_words(&self) {
        let verified = vcq(self.stage.path(), "http://127.0.0.1:1", "verify").output().unwrap();
        let code = verified.status.code();
        let (done, rows) = (done_samples(&self.stage), self.stage.rows().len() as u64);
        assert!(code.is_some_and(|code| code != 70 && code != 101), "{}: {}", self.what, said(&verified));
        let is_told = rows >= done || code != Some(0);
        assert!(is_told, "{}: {rows} rows of {done} samples: {}", self.what, said(&verified));
    }
}

/// Samples of the stays that are done, by the journal.
fn done_samples(stage: &Stage) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    copy(&stage.path().join("state"), folder.path());
    let journal = Connection::open(folder.path().join("journal.sqlite")).unwrap();
    let sql = "SELECT coalesce(sum(samples), 0) FROM stay WHERE state = 1 AND rereads IS NULL";
    // Without tables there is nothing that could be done.
    journal.query_row(sql, [], |row| row.get(0)).unwrap_or(0)
}

/// All that a process has said.
pub(crate) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

impl Paid {
    fn of(stage: &Stage, simulator: &Simulator) -> Self {
        let asked = simulator.books().pages().map(|(stay, first_sample, page)| ((stay, first_sample), page.asked));
        Self { pages: paid_pages(stage, simulator), asked: asked.collect() }
    }

    /// `next` is the state after one more process.
    fn check_next(&self, next: &Self, what: &str) {
        let lost: Vec<_> = self.pages.difference(&next.pages).collect();
        assert!(lost.is_empty(), "{what}: landed, but not there any more: {lost:?}");
        for (page, asked) in &next.asked {
            let before = self.asked.get(page).copied().unwrap_or_default();
            let at_most = match self.pages.contains(page) {
                true => 0,
                // Its first request is throttled.
                false if before == 0 && *page == throttled_page() => 2,
                false => 1,
            };
            let times = asked - before;
            assert!(times <= at_most, "{what}: {page:?} was asked for {times} times, {before} times before");
        }
    }
}

/// Reads the journal in a copy, because reading may change it.
fn paid_pages(stage: &Stage, simulator: &Simulator) -> BTreeSet<Page> {
    let folder = tempfile::tempdir().unwrap();
    copy(&stage.path().join("state"), folder.path());
    let journal = Connection::open(folder.path().join("journal.sqlite")).unwrap();
    let has_tables: bool =
        journal.query_row("SELECT count(*) FROM sqlite_master WHERE name = 'page'", [], |row| row.get(0)).unwrap();
    if !has_tables {
        return BTreeSet::new();
    }
    let keys: BTreeMap<_, _> = simulator.tenant().stays().map(|stay| (journal_key(&stay), stay.key)).collect();
    // A row that the API rejected is asked for again by a run whose manifest names it.
    let sql = "SELECT meeting_start, meeting_no, join_time, participant, number FROM stay JOIN page ON stay = id
               UNION ALL
               SELECT meeting_start, meeting_no, join_time, participant, 0 FROM stay WHERE state = 2";
    let mut statement = journal.prepare(sql).unwrap();
    let pages = statement.query_map([], |row| {
        let key = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        Ok((keys[&key], row.get::<_, u32>(4)? * 100))
    });
    pages.unwrap().map(Result::unwrap).collect()
}

/// What a stay is known by in the journal.
fn journal_key(stay: &SimulatedStay) -> (i64, i64, i64, String) {
    let id = stay.user_id(UserIdType::OpenId).or_else(|| stay.room_id()).unwrap();
    (stay.meeting_start_s, stay.meeting_no.parse().unwrap(), stay.join_s, id)
}
