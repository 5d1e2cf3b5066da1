//! How much a compare sends to the slave and receives from it: exchanges, and bytes in the form in which digests travel.

use sync_core::digest::{Node, Span, pack_nodes, pack_rows};
use sync_core::key;
use sync_store::{Answer, Question, Scope};

use super::Side;

/// What crossed the link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Questions that were asked and answered.
    pub exchanges: u64,
    /// Bytes, both ways.
    pub bytes: u64,
}

impl Traffic {
    pub(super) fn ask(&mut self, question: &Question) {
        self.exchanges += 1;
        self.bytes += match question {
            Question::Supers(scopes)
            | Question::Leaves(scopes)
            | Question::Rows(scopes)
            | Question::Ends(scopes)
            | Question::Sums(scopes) => scopes.iter().map(size).sum::<usize>(),
            Question::Standings(all) => {
                all.iter().map(|c| c.table.len() + c.keys.iter().map(|k| key::pack(k).len() + 1).sum::<usize>()).sum()
            }
        } as u64;
    }

    pub(super) fn hear(&mut self, side: Side, answer: &Answer) {
        if side == Side::Master {
            return;
        }
        self.bytes += match answer {
            Answer::Begins { .. } | Answer::Read { .. } => 8,
            Answer::Nodes { nodes, .. } => pack_nodes(nodes).len(),
            Answer::Aside { rows, .. } | Answer::Rows { rows, .. } => pack_rows(rows).len(),
            Answer::Standings { standings, .. } => standings.len() * 17,
        } as u64;
    }
}

/// Spans as they travel: like nodes, their ends share beginnings.
fn size(scope: &Scope) -> usize {
    let ends = |span: &Span| [&span.after, &span.upto].map(|end| Node { end: end.clone(), ..Node::default() });
    let nodes: Vec<Node> = scope.spans.iter().flat_map(ends).collect();
    // A span has no count and no sum.
    scope.table.len() + pack_nodes(&nodes).len() - nodes.len() * 17
}
