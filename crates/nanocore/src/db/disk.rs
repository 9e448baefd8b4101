//! How far the file is from its limit, and its disk from its end: SQLite says the same of both.

use std::path::Path;

use nix::sys::statvfs::statvfs;
use rusqlite::Connection;

/// What counts as free where the file system does not say: a file that is further from its limit has not reached it.
const UNKNOWN_BYTES: u64 = 64 << 20;

/// Whether the disk ends before the file's limit, so that it is the disk that has no room. Rows that are deleted make
/// room in the file, and none on the disk.
pub(super) fn ends_first(connection: &Connection, path: &Path) -> bool {
    // A file of which not even this can be told is not known to be at its limit.
    room_bytes(connection).is_ok_and(|room| is_nearer(free_bytes(path), room))
}

/// What the disk has left for us, in bytes; `None` if its file system does not say.
pub(super) fn free_bytes(path: &Path) -> Option<u64> {
    let disk = statvfs(path).ok().filter(|disk| disk.blocks() > 0)?;
    Some(disk.blocks_available().saturating_mul(disk.fragment_size()))
}

/// What the file may still take: pages that it may grow by, and its own that are free.
fn room_bytes(connection: &Connection) -> rusqlite::Result<u64> {
    let number = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, u64>(0));
    let (pages, pages_max) = (number("page_count")?, number("max_page_count")?);
    let free = pages_max.saturating_sub(pages) + number("freelist_count")?;
    Ok(free.saturating_mul(number("page_size")?))
}

fn is_nearer(free_bytes: Option<u64>, room_bytes: u64) -> bool {
    free_bytes.unwrap_or(UNKNOWN_BYTES) < room_bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_first_has_no_room() {
        assert!(is_nearer(Some(0), 16 << 30), "a full disk");
        assert!(!is_nearer(Some(1 << 30), 8_192), "a file at its limit");
        assert!(!is_nearer(Some(0), 0), "both: the limit is told first");
        assert!(is_nearer(None, 16 << 30), "far from its limit");
        assert!(!is_nearer(None, 8_192), "near it");
    }

    #[test]
    fn room_is_what_the_file_may_still_take() {
        let folder = tempfile::tempdir().unwrap();
        let connection = Connection::open(folder.path().join("a.db")).unwrap();
        connection.execute_batch("CREATE TABLE a (b)").unwrap();
        connection
            .pragma_update_and_check(None, "max_page_count", 100, |_| Ok(()))
            .unwrap();
        let page: u64 = connection
            .pragma_query_value(None, "page_size", |row| row.get(0))
            .unwrap();
        assert_eq!(room_bytes(&connection).unwrap(), 98 * page);
        let fill = "INSERT INTO a VALUES (zeroblob(?1))";
        connection.execute(fill, [10 * page]).unwrap();
        assert!(room_bytes(&connection).unwrap() < 90 * page);
        connection.execute("DELETE FROM a", []).unwrap();
        assert_eq!(room_bytes(&connection).unwrap(), 98 * page);
        assert!(free_bytes(folder.path()).unwrap() > 0);
    }
}
