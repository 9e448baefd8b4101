//! Taking a text apart: all of it in one pass, or one object member by member.

use crate::parts::{KeyRef, MemberRef, ValueRef};
use crate::scan::{ScanError, ScanErrorKind, Scanner};

/// Takes a text apart in one pass, going into arrays and objects where the caller wants to.
///
/// ```
/// use nodewire_json::Reader;
///
/// let mut reader = Reader::new(r#"{"id": 7, "payload": {"node": "echo", "more": [1, 2]}}"#);
/// let (mut node, mut id) = (None, None);
/// reader.object(|key, reader| {
///     match key.name().as_ref() {
///         "id" => id = Some(reader.value()?.as_str()),
///         "payload" => drop(reader.object(|key, reader| {
///             if key.name() == "node" {
///                 node = Some(reader.value()?.as_str());
///             }
///             Ok(())
///         })?),
///         _ => {}
///     }
///     Ok(())
/// })?;
/// reader.end()?;
/// assert_eq!((id, node), (Some("7"), Some("\"echo\"")));
/// # Ok::<(), nodewire_json::ScanError>(())
/// ```
#[derive(Debug)]
pub struct Reader<'a> {
    scanner: Scanner<'a>,
    depth: usize,
}

impl<'a> Reader<'a> {
    /// At the first value of this text.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        let mut scanner = Scanner::new(text);
        scanner.skip_white_space();
        Self { scanner, depth: 0 }
    }

    /// Whether an object comes next.
    #[must_use]
    pub fn at_object(&self) -> bool {
        self.scanner.peek() == Some(b'{')
    }

    /// Whether an array comes next.
    #[must_use]
    pub fn at_array(&self) -> bool {
        self.scanner.peek() == Some(b'[')
    }

    /// Takes the next value whole.
    ///
    /// # Errors
    /// If it is not well-formed.
    pub fn value(&mut self) -> Result<ValueRef<'a>, ScanError> {
        self.spanning(|reader| reader.scanner.value(reader.depth))
    }

    /// Goes through the object that comes next, in order, duplicates included. `member` may take the value that the
    /// reader is at, or leave it.
    ///
    /// # Errors
    /// If it is no object, is not well-formed, or `member` fails.
    pub fn object(
        &mut self,
        mut member: impl FnMut(KeyRef<'a>, &mut Self) -> Result<(), ScanError>,
    ) -> Result<ValueRef<'a>, ScanError> {
        if !self.at_object() {
            return Err(self.scanner.error(ScanErrorKind::NotAnObject));
        }
        self.nested(|reader| {
            let mut first = true;
            while let Some(key) = reader.scanner.member_start(first)? {
                reader.item(|reader| member(key, reader))?;
                first = false;
            }
            Ok(())
        })
    }

    /// Goes through the array that comes next, in order. `element` may take the value that the reader is at, or leave
    /// it.
    ///
    /// # Errors
    /// If it is no array, is not well-formed, or `element` fails.
    pub fn array(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<(), ScanError>,
    ) -> Result<ValueRef<'a>, ScanError> {
        if !self.at_array() {
            return Err(self.scanner.unexpected());
        }
        self.nested(|reader| {
            let mut first = true;
            while reader.scanner.element_start(first)? {
                reader.item(&mut element)?;
                first = false;
            }
            Ok(())
        })
    }

    /// Checks that nothing follows.
    ///
    /// # Errors
    /// If something does.
    pub fn end(mut self) -> Result<(), ScanError> {
        self.scanner.expect_end()
    }

    fn nested(
        &mut self,
        inside: impl FnOnce(&mut Self) -> Result<(), ScanError>,
    ) -> Result<ValueRef<'a>, ScanError> {
        self.spanning(|reader| {
            reader.depth += 1;
            reader.scanner.enter(reader.depth)?;
            inside(reader)?;
            reader.depth -= 1;
            Ok(())
        })
    }

    /// Lets `take` take the value here; passes over it if it does not.
    fn item(
        &mut self,
        take: impl FnOnce(&mut Self) -> Result<(), ScanError>,
    ) -> Result<(), ScanError> {
        let start = self.scanner.pos;
        take(self)?;
        if self.scanner.pos == start {
            self.scanner.value(self.depth)
        } else {
            Ok(())
        }
    }

    fn spanning(
        &mut self,
        take: impl FnOnce(&mut Self) -> Result<(), ScanError>,
    ) -> Result<ValueRef<'a>, ScanError> {
        let start = self.scanner.pos;
        let strict_before = std::mem::replace(&mut self.scanner.strict, true);
        take(self)?;
        let strict = self.scanner.strict;
        self.scanner.strict = strict && strict_before;
        Ok(ValueRef {
            text: &self.scanner.text[start..self.scanner.pos],
            strict,
        })
    }
}

/// Walks over the members of the object that `text` is, in order, without allocating. Duplicates are all yielded.
///
/// The whole text is checked as the walk goes on; an error is the last item.
pub fn members(text: &str) -> Members<'_> {
    let mut scanner = Scanner::new(text);
    scanner.skip_white_space();
    let state = match scanner.peek() {
        Some(b'{') => {
            scanner.pos += 1;
            MembersState::First
        }
        Some(_) => MembersState::Failed(scanner.error(ScanErrorKind::NotAnObject)),
        None => MembersState::Failed(scanner.error(ScanErrorKind::UnexpectedEnd)),
    };
    Members { scanner, state }
}

/// Iterator of [`members`].
#[derive(Debug)]
pub struct Members<'a> {
    scanner: Scanner<'a>,
    state: MembersState,
}

#[derive(Debug)]
enum MembersState {
    First,
    Next,
    Failed(ScanError),
    Done,
}

impl<'a> Iterator for Members<'a> {
    type Item = Result<MemberRef<'a>, ScanError>;

    fn next(&mut self) -> Option<Self::Item> {
        let first = match self.state {
            MembersState::First => true,
            MembersState::Next => false,
            MembersState::Failed(error) => {
                self.state = MembersState::Done;
                return Some(Err(error));
            }
            MembersState::Done => return None,
        };
        match self.scanner.next_member(first) {
            Ok(Some(member)) => {
                self.state = MembersState::Next;
                Some(Ok(member))
            }
            Ok(None) => {
                self.state = MembersState::Done;
                None
            }
            Err(error) => {
                self.state = MembersState::Done;
                Some(Err(error))
            }
        }
    }
}
