//! The planner's desk: fetches what plannings need, and keeps those of live runs at hand.

use super::earlier::Earlier;
use super::estimate::Seen;
use super::{Planning, order, unoffered::refuse_unoffered};
use crate::error::in_one_line;
use crate::projector::{Desk, News};
use crate::resources::Steward;
use crate::store::projection::{FileHistory, Learnt, Reader, Remembered, Row};
use crate::store::{self, Error};
use prost::Message as _;
use regatta_domain::database::Per;
use regatta_domain::listing::{ListedFile, ListedTest};
use regatta_domain::plan::PlannedSuite;
use regatta_domain::submission::{FileDraft, Submission, SuiteDraft, TestDraft};
use regatta_domain::{Costs, FileKey, Micros, RunId, SuiteIx, Time};
use regatta_wire::submission::{Request, SuiteRequest};
use regatta_wire::{Failure, v1};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Plannings that are kept at hand. One that is needed again is made again from what the client said.
const AT_HAND: usize = 256;

/// A listing that was not used for so long is marked as used again, so that it is not dropped among the oldest.
const FRESH: Micros = Micros::from_secs(24 * 3600);

/// Files that are gone, in which new tests are looked for.
const VANISHED: usize = 2_000;

/// The planner's desk. Clones are the same desk.
#[derive(Clone)]
pub(crate) struct PlannerDesk(Arc<Inner>);

struct Inner {
    projection: Reader,
    journal: Mutex<Box<dyn store::Reader>>,
    projector: Desk,
    steward: Steward,
    at_hand: Mutex<BTreeMap<RunId, Arc<Live>>>,
}

/// The planning of a live run, with the histories as they stood when each file joined.
pub(crate) struct Live {
    planning: Planning,
    histories: Mutex<Histories>,
}

/// The histories of files, by suite and path.
type Histories = HashMap<(SuiteIx, Arc<str>), Arc<FileHistory>>;

/// What is known of the tests of files, by path.
type Known<'a> = HashMap<&'a str, Vec<Remembered>>;

/// The tests of files by content address, each with when that was last used.
type Listings = HashMap<FileKey, (Time, Vec<ListedTest>)>;

/// A run that is ready for the core.
pub(crate) struct Plan {
    pub(crate) submission: Box<Submission>,
    live: Arc<Live>,
}

/// Where a worker found something.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    pub(crate) run: RunId,
    pub(crate) suite: SuiteIx,
}

impl PlannerDesk {
    pub(crate) fn new(projection: Reader, journal: Box<dyn store::Reader>, projector: Desk, steward: Steward) -> Self {
        let (journal, at_hand) = (Mutex::new(journal), Mutex::default());
        Self(Arc::new(Inner { projection, journal, projector, steward, at_hand }))
    }

    pub(crate) fn projection(&self) -> &Reader {
        &self.0.projection
    }

    /// Plans a run. Reads the store: not for the threads of async tasks.
    pub(crate) fn plan(&self, request: &Request, now: Time) -> Result<Plan, Failure> {
        let earlier = request.rerun_of.map(|run| self.earlier(run, request.resume)).transpose()?;
        let resumes = request.rerun_of.zip(earlier.as_ref()).map(|(run, earlier)| earlier.stands(run));
        let resumes = resumes.filter(|_| request.resume);
        let mut planning = Planning::new(request, earlier)?;
        refuse_unoffered(request, &self.0.steward.offers())?;
        let mut suites = Vec::with_capacity(request.suites.len());
        let mut histories = Histories::new();
        for (at, asked) in request.suites.iter().enumerate() {
            let suite = SuiteIx::nth(at);
            let learnt = self.projection().costs(&request.project, &asked.suite.name, &planning.scope.class);
            let costs = costs(&asked.suite, learnt.map_err(broken)?);
            let mut draft = SuiteDraft { suite: asked.suite.clone(), costs, discover: false, files: Vec::new() };
            if planning.may_select_suite(suite) {
                let listings = self.listings(&asked.files, now).map_err(broken)?;
                let known = self.remembered(&planning, suite, paths(&asked.files)).map_err(broken)?;
                let gone = self.gone(&planning, suite, asked, &known).map_err(broken)?;
                let vanished = self.remembered(&planning, suite, gone.iter().map(|path| &**path)).map_err(broken)?;
                let files = &asked.files;
                planning.learn(suite, &Seen { files, known: &known, listings: &listings, vanished: &vanished });
                histories.extend(of_files(files, &known).map(|(path, history)| ((suite, path), history)));
                draft.discover = asked.discover;
                draft.files = drafts(&planning, suite, files, &histories, &known, &listings);
            }
            suites.push(draft);
        }
        order::limit(request.policy.order, &mut suites);
        let submission = Box::new(Submission {
            run: request.run,
            project: Arc::clone(&request.project),
            resumes,
            policy: request.policy.clone(),
            policies: planning.policies.all().to_vec(),
            needs: planning.policies.needs().to_vec(),
            suites,
        });
        Ok(Plan { submission, live: Arc::new(Live { planning, histories: Mutex::new(histories) }) })
    }

    /// What a run came to that is to be followed up.
    fn earlier(&self, run: RunId, resume: bool) -> Result<Earlier, Failure> {
        if resume && self.projection().has_ended(run).map_err(broken)? == Some(false) {
            let live = format!("run {run} has not ended, and goes on by itself; `regatta watch {run}` follows it");
            return Err(Failure::Unfit(live));
        }
        let earlier = Earlier::read(self.projection(), run, resume).map_err(broken)?;
        earlier.ok_or_else(|| {
            let unknown = "is not known, and cannot be run again; `regatta runs` lists those that are";
            Failure::NotFound(format!("run {run} {unknown}"))
        })
    }

    /// Keeps the planning of a run at hand. Reads the store.
    pub(crate) fn keep(&self, plan: &Plan) {
        self.put(plan.submission.run, Arc::clone(&plan.live));
    }

    fn put(&self, run: RunId, live: Arc<Live>) {
        let mut at_hand = lock(&self.0.at_hand);
        // Runs that ended are not asked about any more; where the store cannot say, they stay a little longer.
        at_hand.retain(|&run, _| !matches!(self.projection().has_ended(run), Ok(Some(true))));
        if at_hand.len() >= AT_HAND {
            at_hand.pop_first();
        }
        at_hand.insert(run, live);
    }

    /// The drafts of the files that a worker found; their list is remembered. Reads the store.
    pub(crate) fn discovered(
        &self,
        context: &Context,
        files: Vec<ListedFile>,
        now: Time,
    ) -> Result<Vec<FileDraft>, Failure> {
        let live = self.live(context.run)?;
        let (planning, suite) = (&live.planning, context.suite);
        let new: Vec<ListedFile> = {
            let histories = lock(&live.histories);
            files.iter().filter(|file| !histories.contains_key(&(suite, Arc::clone(&file.path)))).cloned().collect()
        };
        let known = self.remembered(planning, suite, paths(&new)).map_err(broken)?;
        let listings = self.listings(&files, now).map_err(broken)?;
        let drafts = {
            let mut histories = lock(&live.histories);
            for (path, history) in of_files(&new, &known) {
                histories.entry((suite, path)).or_insert(history);
            }
            drafts(planning, suite, &files, &histories, &known, &listings)
        };
        let asked = &planning.suites[suite.at()];
        if !asked.tree_key.is_empty() {
            self.0.projector.tell(News::Remember(Row::FileList {
                project: Arc::clone(&planning.project),
                suite: Arc::clone(&asked.name),
                tree_key: Arc::clone(&asked.tree_key),
                files,
                at: now,
            }));
        }
        Ok(drafts)
    }

    /// The drafts of those tests of a file that are selected; the listing is remembered. Reads the store.
    pub(crate) fn listed(
        &self,
        context: &Context,
        path: &Arc<str>,
        key: FileKey,
        tests: Vec<ListedTest>,
        now: Time,
    ) -> Result<Vec<TestDraft>, Failure> {
        let live = self.live(context.run)?;
        let place = (context.suite, Arc::clone(path));
        let mut known = self.remembered(&live.planning, context.suite, std::iter::once(&**path)).map_err(broken)?;
        let names = known.remove(&**path).unwrap_or_default();
        let history = {
            let mut histories = lock(&live.histories);
            Arc::clone(histories.entry(place).or_insert_with(|| Arc::new(of_file(&names))))
        };
        let drafts = live.planning.tests(context.suite, path, &tests, &history, &names);
        if key != FileKey::default() {
            self.0.projector.tell(News::Remember(Row::Listing { key, tests: tests.into(), at: now }));
        }
        Ok(drafts)
    }

    /// The planning of a run: at hand, or made again from what its client said.
    fn live(&self, run: RunId) -> Result<Arc<Live>, Failure> {
        if let Some(live) = lock(&self.0.at_hand).get(&run) {
            return Ok(Arc::clone(live));
        }
        let bytes = lock(&self.0.journal).request(run).map_err(broken)?;
        let bytes =
            bytes.ok_or_else(|| Failure::Broken(format!("what was asked for run {run} is not in the journal")))?;
        let unread =
            |why: String| Failure::Broken(format!("what was asked for run {run} cannot be read any more: {why}"));
        let message = v1::SubmitRequest::decode(&*bytes).map_err(|error| unread(error.to_string()))?;
        let request = Request::try_from(message).map_err(|error| unread(error.to_string()))?;
        let read = |run| Earlier::read(self.projection(), run, request.resume);
        let earlier = request.rerun_of.map(read).transpose().map_err(broken)?.flatten();
        let planning = Planning::new(&request, earlier).map_err(|error| unread(error.to_string()))?;
        let live = Arc::new(Live { planning, histories: Mutex::default() });
        self.put(run, Arc::clone(&live));
        Ok(live)
    }

    /// What is known of the tests of files, by path; nothing for files of which nothing is known.
    fn remembered<'a>(
        &self,
        planning: &Planning,
        suite: SuiteIx,
        paths: impl Iterator<Item = &'a str>,
    ) -> Result<Known<'a>, Error> {
        let suite = &planning.suites[suite.at()].name;
        self.projection().histories(&planning.project, suite, &planning.scope, paths)
    }

    /// The files that are known and not there any more, where there may be new ones that took their place.
    fn gone(
        &self,
        planning: &Planning,
        suite: SuiteIx,
        asked: &SuiteRequest,
        known: &Known<'_>,
    ) -> Result<Vec<String>, Error> {
        if !asked.discover && asked.files.iter().all(|file| known.contains_key(&*file.path)) {
            return Ok(Vec::new());
        }
        let there: HashSet<&str> = paths(&asked.files).collect();
        let mut gone = self.projection().paths(&planning.project, &planning.suites[suite.at()].name)?;
        gone.retain(|path| !there.contains(&**path));
        // That much is another suite under the name of an old one.
        gone.truncate(VANISHED);
        Ok(gone)
    }

    /// The listings that are remembered of files.
    fn listings(&self, files: &[ListedFile], now: Time) -> Result<Listings, Error> {
        let keys = files.iter().map(|file| file.key).filter(|key| *key != FileKey::default());
        let listings = self.projection().listings(keys)?;
        for (key, (seen, tests)) in listings.iter().filter(|(_, (seen, _))| now.since(*seen) > FRESH) {
            tracing::trace!(%key, ?seen, "a listing is used again");
            self.0.projector.tell(News::Remember(Row::Listing { key: *key, tests: (&**tests).into(), at: now }));
        }
        Ok(listings)
    }
}

/// What a suite costs beside its tests. What its runner keeps from shard to shard has read where the databases of one shard are,
/// so it ends with that: Django and Rails start anew.
pub(super) fn costs(suite: &PlannedSuite, learnt: Learnt) -> Costs {
    let costs = learnt.over(Costs::of(suite.runner));
    let shares = suite.databases.iter().any(|database| database.per == Per::Shard);
    if shares { costs.afresh() } else { costs }
}

fn paths(files: &[ListedFile]) -> impl Iterator<Item = &str> {
    files.iter().map(|file| &*file.path)
}

/// The history of each file, empty where nothing is known.
fn of_files(files: &[ListedFile], known: &Known<'_>) -> impl Iterator<Item = (Arc<str>, Arc<FileHistory>)> {
    files.iter().map(|file| {
        let tests = known.get(&*file.path).map_or(&[][..], |tests| tests);
        (Arc::clone(&file.path), Arc::new(of_file(tests)))
    })
}

fn of_file(tests: &[Remembered]) -> FileHistory {
    tests.iter().map(|test| (test.key, test.history)).collect()
}

/// The drafts of files, with the listings that are remembered of them.
fn drafts(
    planning: &Planning,
    suite: SuiteIx,
    files: &[ListedFile],
    histories: &Histories,
    names: &Known<'_>,
    listings: &Listings,
) -> Vec<FileDraft> {
    let nothing = FileHistory::default();
    let draft = |file: &ListedFile| {
        let history = histories.get(&(suite, Arc::clone(&file.path))).map_or(&nothing, |history| &**history);
        let names = names.get(&*file.path).map_or(&[][..], |names| names);
        planning.file(suite, file, listings.get(&file.key).map(|(_, tests)| &**tests), history, names)
    };
    files.iter().filter_map(draft).collect()
}

/// A store that cannot be read is nothing that a client can mend.
#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err takes")]
pub(crate) fn broken(error: Error) -> Failure {
    let told = in_one_line(&error);
    if error.may_pass() { Failure::Unavailable(told) } else { Failure::Broken(told) }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each use leaves what is inside whole, even if the thread that made it came to grief later.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
