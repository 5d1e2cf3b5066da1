//! The same work at both sides. Where the slave is reached over a line its part is done at another machine, and both go on at
//! the same time; where both are in this process one follows the other, in a fixed order. Knows nothing of the work.

use sync_store::Result;

use crate::error::{EngineError, Kind};
use crate::parties::Sides;

/// Does both; an error of the master's is told first, and of neither before both have ended.
pub(crate) fn together<T: Send>(
    is_far: bool,
    master: impl FnOnce() -> Result<T>,
    slave: impl FnOnce() -> Result<T> + Send,
) -> crate::Result<Sides<T>> {
    if !is_far {
        return Ok(Sides { master: master()?, slave: slave()? });
    }
    let (master, slave) = std::thread::scope(|scope| {
        let slave = scope.spawn(slave);
        (master(), slave.join())
    });
    let master = master?;
    let slave = slave.map_err(|_| EngineError::new(Kind::Failure, "the thread of the slave's part broke down"))?;
    Ok(Sides { master, slave: slave? })
}
