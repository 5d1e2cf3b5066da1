//! For stores that stand before another one: verbs that are only passed on to it. The signatures stand here once, so that a new
//! verb is a line here and a word at whoever passes it on.

/// The methods of [`crate::Store`] with these names, each passed on by `self.call(|inner| inner.NAME(…))`, a method of whoever
/// uses this. It needs `sync_core` among its dependencies.
#[macro_export]
macro_rules! pass_on {
    ($($verb:ident)*) => { $($crate::pass_on!(@ $verb);)* };
    (@ open_round) => {
        $crate::pass_on!(
            @ open_round(
                opening: &$crate::Opening,
                told: &mut dyn FnMut(&sync_core::Knowledge) -> $crate::Result<()>
            ) -> $crate::Opened
        );
    };
    (@ own_source) => { $crate::pass_on!(@ own_source() -> sync_core::Source); };
    (@ oldest_line) => { $crate::pass_on!(@ oldest_line(registry: &sync_core::Registry) -> u64); };
    (@ describe) => { $crate::pass_on!(@ describe() -> $crate::Description); };
    (@ knowledge) => { $crate::pass_on!(@ knowledge() -> sync_core::Knowledge); };
    (@ forgot) => { $crate::pass_on!(@ forgot(peer: &sync_core::Knowledge) -> Option<sync_core::SiteId>); };
    (@ last_heard) => { $crate::pass_on!(@ last_heard(site: sync_core::SiteId) -> u64); };
    (@ leave_history) => { $crate::pass_on!(@ leave_history(latest: u64) -> sync_core::Source); };
    (@ drain) => { $crate::pass_on!(@ drain() -> $crate::Drained); };
    (@ is_empty) => { $crate::pass_on!(@ is_empty() -> bool); };
    (@ recognises) => { $crate::pass_on!(@ recognises(own: sync_core::Position) -> bool); };
    (@ greet) => {
        $crate::pass_on!(@ greet(peer: sync_core::Source, claimed: Option<sync_core::Position>) -> $crate::Greeting);
    };
    (@ reincarnate) => { $crate::pass_on!(@ reincarnate() -> sync_core::Source); };
    (@ outline) => { $crate::pass_on!(@ outline(since: &$crate::Since) -> $crate::Outline); };
    (@ changes) => {
        $crate::pass_on!(@ changes(since: &$crate::Since, sink: &mut $crate::Sink) -> $crate::Streamed);
    };
    (@ apply) => { $crate::pass_on!(@ apply(batch: &$crate::Batch, mode: $crate::Mode) -> $crate::Applied); };
    (@ apply_ahead) => {
        $crate::pass_on!(@ apply_ahead(batch: &$crate::Batch, mode: $crate::Mode) -> $crate::Applied);
    };
    (@ applied) => { $crate::pass_on!(@ applied() -> $crate::Applied); };
    (@ confirm) => { $crate::pass_on!(@ confirm() -> ()); };
    (@ complete) => { $crate::pass_on!(@ complete(stream: &$crate::Completed) -> ()); };
    (@ enter) => { $crate::pass_on!(@ enter(tables: &[(String, sync_core::Stamp)]) -> $crate::Applied); };
    (@ scan) => { $crate::pass_on!(@ scan(table: &str, along: bool, sink: &mut $crate::Sink) -> ()); };
    (@ digest) => {
        $crate::pass_on!(@ digest(question: &$crate::Question, answers: &mut $crate::Answers) -> ());
    };
    (@ rows) => { $crate::pass_on!(@ rows(table: &str, keys: &[Vec<sync_core::Value>]) -> ($crate::Batch, usize)); };
    (@ restamp) => {
        $crate::pass_on!(@ restamp(table: &str, rows: &[$crate::Restamp], millis: u64) -> ());
    };
    (@ bury) => {
        $crate::pass_on!(
            @ bury(table: &str, rows: &[$crate::Burial], millis: u64, mode: $crate::Mode) -> $crate::Applied
        );
    };
    (@ registry) => { $crate::pass_on!(@ registry() -> sync_core::Registry); };
    (@ register) => { $crate::pass_on!(@ register(registry: &sync_core::Registry) -> ()); };
    (@ purge) => { $crate::pass_on!(@ purge(graves: &sync_core::Purgeable, before: u64) -> u64); };
    (@ compared) => { $crate::pass_on!(@ compared(tables: &[String]) -> ()); };
    (@ conflicts) => { $crate::pass_on!(@ conflicts() -> Vec<$crate::ConflictEntry>); };
    (@ parked) => { $crate::pass_on!(@ parked() -> Vec<$crate::ParkedEntry>); };
    (@ restore) => { $crate::pass_on!(@ restore(conflict: &str) -> ()); };
    (@ $verb:ident($($arg:ident: $type:ty),*) -> $result:ty) => {
        fn $verb(&mut self, $($arg: $type),*) -> $crate::Result<$result> {
            self.call(|inner| inner.$verb($($arg),*))
        }
    };
}
