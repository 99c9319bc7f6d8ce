//! The planner's desk: fetches what plannings need, and keeps those of live runs at hand.

use super::Planning;
use crate::error::in_one_line;
use crate::projector::{Desk, News};
use crate::store::projection::{FileHistory, Reader, Row};
use crate::store::{self, Error};
use prost::Message as _;
use regatta_domain::listing::{ListedFile, ListedTest};
use regatta_domain::submission::{FileDraft, Submission, SuiteDraft, TestDraft};
use regatta_domain::{Costs, FileKey, Micros, RunId, SuiteIx, Time};
use regatta_wire::submission::Request;
use regatta_wire::{Failure, v1};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Plannings that are kept at hand. One that is needed again is made again from what the client said.
const AT_HAND: usize = 256;

/// A listing that was not used for so long is marked as used again, so that it is not dropped among the oldest.
const FRESH: Micros = Micros::from_secs(24 * 3600);

/// The planner's desk. Clones are the same desk.
#[derive(Clone)]
pub(crate) struct PlannerDesk(Arc<Inner>);

struct Inner {
    projection: Reader,
    journal: Mutex<Box<dyn store::Reader>>,
    projector: Desk,
    at_hand: Mutex<BTreeMap<RunId, Arc<Live>>>,
}

/// The planning of a live run, with the histories as they stood when each file joined.
pub(crate) struct Live {
    planning: Planning,
    histories: Mutex<Histories>,
}

/// The histories of files, by suite and path.
type Histories = HashMap<(SuiteIx, Arc<str>), Arc<FileHistory>>;

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
    pub(crate) fn new(projection: Reader, journal: Box<dyn store::Reader>, projector: Desk) -> Self {
        let (journal, at_hand) = (Mutex::new(journal), Mutex::default());
        Self(Arc::new(Inner { projection, journal, projector, at_hand }))
    }

    pub(crate) fn projection(&self) -> &Reader {
        &self.0.projection
    }

    /// Plans a run. Reads the store: not for the threads of async tasks.
    pub(crate) fn plan(&self, request: &Request, now: Time) -> Result<Plan, Failure> {
        let rerun_of = match request.rerun_of {
            None => None,
            Some(run) => {
                let unknown =
                    || format!("run {run} is not known, and cannot be run again; `regatta runs` lists those that are");
                let verdicts = self.projection().verdicts(run).map_err(broken)?;
                Some(verdicts.ok_or_else(|| Failure::NotFound(unknown()))?)
            }
        };
        let mut planning = Planning::new(request, rerun_of)?;
        let mut suites = Vec::with_capacity(request.suites.len());
        let mut histories = Histories::new();
        for (at, asked) in request.suites.iter().enumerate() {
            let suite = SuiteIx::nth(at);
            let costs = Costs::of(asked.suite.runner);
            let mut draft = SuiteDraft { suite: asked.suite.clone(), costs, discover: false, files: Vec::new() };
            if planning.may_select_suite(suite) {
                let known = self.histories(&planning, suite, &asked.files).map_err(broken)?;
                planning.learn(suite, known.values().map(|history| &**history));
                draft.discover = asked.discover;
                draft.files = self.files(&planning, suite, &asked.files, &known, now).map_err(broken)?;
                histories.extend(known.into_iter().map(|(path, history)| ((suite, path), history)));
            }
            suites.push(draft);
        }
        let submission = Box::new(Submission {
            run: request.run,
            project: Arc::clone(&request.project),
            policy: request.policy.clone(),
            policies: planning.policies.all().to_vec(),
            needs: planning.policies.needs().to_vec(),
            suites,
        });
        Ok(Plan { submission, live: Arc::new(Live { planning, histories: Mutex::new(histories) }) })
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
        let known = self.histories(planning, suite, &new).map_err(broken)?;
        let all: HashMap<Arc<str>, Arc<FileHistory>> = {
            let mut histories = lock(&live.histories);
            for file in new {
                let history = known.get(&file.path).cloned().unwrap_or_default();
                histories.entry((suite, file.path)).or_insert(history);
            }
            let of = |file: &ListedFile| histories.get(&(suite, Arc::clone(&file.path))).cloned();
            files.iter().filter_map(|file| Some((Arc::clone(&file.path), of(file)?))).collect()
        };
        let drafts = self.files(planning, suite, &files, &all, now).map_err(broken)?;
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
        let kept = lock(&live.histories).get(&place).cloned();
        let history = match kept {
            Some(history) => history,
            None => {
                let asked = &live.planning.suites[context.suite.at()];
                let found = self.projection().histories(&live.planning.project, &asked.name, std::iter::once(&**path));
                let history = Arc::new(found.map_err(broken)?.remove(&**path).unwrap_or_default());
                Arc::clone(lock(&live.histories).entry(place).or_insert(history))
            }
        };
        let drafts = live.planning.tests(context.suite, path, &tests, &history);
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
        let rerun_of = request.rerun_of.map(|run| self.projection().verdicts(run)).transpose().map_err(broken)?;
        let planning = Planning::new(&request, rerun_of.flatten()).map_err(|error| unread(error.to_string()))?;
        let live = Arc::new(Live { planning, histories: Mutex::default() });
        self.put(run, Arc::clone(&live));
        Ok(live)
    }

    /// The histories of files, by path: one for each, empty where nothing is known.
    fn histories(
        &self,
        planning: &Planning,
        suite: SuiteIx,
        files: &[ListedFile],
    ) -> Result<HashMap<Arc<str>, Arc<FileHistory>>, Error> {
        let suite = &planning.suites[suite.at()].name;
        let paths = files.iter().map(|file| &*file.path);
        let mut found = self.projection().histories(&planning.project, suite, paths)?;
        let mut histories = HashMap::with_capacity(files.len());
        for file in files {
            let history = found.remove(&*file.path).unwrap_or_default();
            histories.entry(Arc::clone(&file.path)).or_insert_with(|| Arc::new(history));
        }
        Ok(histories)
    }

    /// The drafts of files, with the listings that are remembered of them.
    fn files(
        &self,
        planning: &Planning,
        suite: SuiteIx,
        files: &[ListedFile],
        histories: &HashMap<Arc<str>, Arc<FileHistory>>,
        now: Time,
    ) -> Result<Vec<FileDraft>, Error> {
        let keys = files.iter().map(|file| file.key).filter(|key| *key != FileKey::default());
        let mut remembered = self.projection().listings(keys)?;
        let nothing = FileHistory::default();
        let draft = |file: &ListedFile| {
            let history = histories.get(&file.path).map_or(&nothing, |history| &**history);
            planning.file(suite, file, remembered.get(&file.key).map(|(_, tests)| &**tests), history)
        };
        let drafts = files.iter().filter_map(draft).collect();
        for (key, (seen, tests)) in remembered.drain().filter(|(_, (seen, _))| now.since(*seen) > FRESH) {
            tracing::trace!(%key, ?seen, "a listing is used again");
            self.0.projector.tell(News::Remember(Row::Listing { key, tests: tests.into(), at: now }));
        }
        Ok(drafts)
    }
}

/// A store that cannot be read is nothing that a client can mend.
#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err takes")]
pub(crate) fn broken(error: Error) -> Failure {
    Failure::Broken(in_one_line(&error))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each use leaves what is inside whole, even if the thread that made it came to grief later.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
