//! Fields at fixed places, and the structures made of them. spec: nnrp-wire, Conventions
//!
//! Every integer is little-endian, unsigned and unaligned.

use crate::error::{Category, WireError};
use crate::rules::Rules;

/// What can stand in a field.
pub(crate) trait Field: Copy {
    /// Its width.
    const BYTES: usize;

    /// Reads it; bytes that are not there count as zero, which callers rule out by length checks.
    fn read(bytes: &[u8], at: usize, name: &'static str) -> Result<Self, WireError>;

    fn write(self, out: &mut [u8], at: usize);

    /// As a number, for checks and tools.
    fn number(self) -> u64;

    /// Whether it must be zero unless that is tolerated (Q5).
    const IS_RESERVED: bool = false;
}

macro_rules! integers {
    ($($type:ty)+) => {
        $(impl Field for $type {
            const BYTES: usize = size_of::<$type>();

            #[inline]
            fn read(bytes: &[u8], at: usize, _: &'static str) -> Result<Self, WireError> {
                let field = bytes.get(at..).and_then(|rest| rest.first_chunk());
                Ok(field.map_or(0, |field| Self::from_le_bytes(*field)))
            }

            #[inline]
            fn write(self, out: &mut [u8], at: usize) {
                if let Some(field) = out.get_mut(at..at + Self::BYTES) {
                    field.copy_from_slice(&self.to_le_bytes());
                }
            }

            #[inline]
            fn number(self) -> u64 {
                u64::from(self)
            }
        })+
    };
}

integers! { u8 u16 u32 u64 }

/// A reserved field whose value is carried through: zero, unless a later revision uses it (Q5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Reserved<T>(pub T);

impl<T: Field> Field for Reserved<T> {
    const BYTES: usize = T::BYTES;
    const IS_RESERVED: bool = true;

    #[inline]
    fn read(bytes: &[u8], at: usize, name: &'static str) -> Result<Self, WireError> {
        T::read(bytes, at, name).map(Self)
    }

    fn write(self, out: &mut [u8], at: usize) {
        self.0.write(out, at);
    }

    fn number(self) -> u64 {
        self.0.number()
    }
}

/// A reserved field that is zero, or else refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Zero<T>(std::marker::PhantomData<T>);

impl<T: Field> Field for Zero<T> {
    const BYTES: usize = T::BYTES;

    fn read(bytes: &[u8], at: usize, name: &'static str) -> Result<Self, WireError> {
        match T::read(bytes, at, name)?.number() {
            0 => Ok(Self(std::marker::PhantomData)),
            found => Err(reserved_nonzero(name, at, found)),
        }
    }

    /// The room is zero already.
    fn write(self, _: &mut [u8], _: usize) {}

    fn number(self) -> u64 {
        0
    }
}

#[cold]
pub(crate) const fn reserved_nonzero(name: &'static str, at: usize, found: u64) -> WireError {
    let error = WireError::new(Category::ReservedNonzero, name).at(at);
    error.found(found).limit(0)
}

#[cold]
pub(crate) const fn unknown_value(
    name: &'static str,
    at: usize,
    found: u64,
    largest: u64,
) -> WireError {
    let error = WireError::new(Category::UnknownEnumValue, name).at(at);
    error.found(found).limit(largest)
}

/// A structure of fixed size.
pub(crate) trait Fixed: Sized {
    const BYTES: usize;

    /// Each field by itself; what they must be together is checked elsewhere.
    fn read(bytes: &[u8], at: usize) -> Result<Self, WireError>;

    fn write(&self, out: &mut [u8], at: usize);

    /// If a reserved field is set and that is not tolerated.
    fn check_reserved(&self, rules: &Rules) -> Result<(), WireError>;

    /// Field by field, in order.
    #[cfg(feature = "inspect")]
    fn for_each(&self, see: &mut dyn FnMut(&'static str, u64));

    /// Reads a structure that is all of `bytes`.
    #[inline]
    fn read_whole(
        bytes: &[u8],
        wrong_length: Category,
        name: &'static str,
    ) -> Result<Self, WireError> {
        if bytes.len() == Self::BYTES {
            return Self::read(bytes, 0);
        }
        let error = WireError::new(wrong_length, name).at(0);
        Err(error.found(bytes.len() as u64).limit(Self::BYTES as u64))
    }
}

/// For packets without metadata.
impl Fixed for () {
    const BYTES: usize = 0;

    fn read(_: &[u8], _: usize) -> Result<Self, WireError> {
        Ok(())
    }

    #[inline]
    fn write(&self, _: &mut [u8], _: usize) {}

    fn check_reserved(&self, _: &Rules) -> Result<(), WireError> {
        Ok(())
    }

    #[cfg(feature = "inspect")]
    fn for_each(&self, _: &mut dyn FnMut(&'static str, u64)) {}
}

/// Defines a structure as the specification's tables do: bytes, and each field by its offset.
macro_rules! fixed {
    ($(#[$doc:meta])* $name:ident[$bytes:literal] { $($(#[$field_doc:meta])* $at:literal $field:ident: $type:ty,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name {
            $($(#[$field_doc])* #[doc = concat!("At byte ", $at, ".")] pub $field: $type,)+
        }

        impl $name {
            #[doc = concat!("Bytes on the wire: ", $bytes, ".")]
            pub const BYTES: usize = $bytes;
        }

        impl crate::field::Fixed for $name {
            const BYTES: usize = $bytes;

            #[inline]
            fn read(bytes: &[u8], at: usize) -> Result<Self, crate::error::WireError> {
                // Of known length, so that the fields need not be checked one by one.
                let bytes: [u8; $bytes] = crate::field::chunk(bytes, at);
                let read = || {
                    Ok(Self {
                        $($field: crate::field::Field::read(&bytes, $at, stringify!($field))?,)+
                    })
                };
                read().map_err(|error: crate::error::WireError| error.moved(at))
            }

            #[inline]
            fn write(&self, out: &mut [u8], at: usize) {
                // Of known length too.
                if let Some(room) = out.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<$bytes>()) {
                    *room = [0; $bytes];
                    $(crate::field::Field::write(self.$field, room, $at);)+
                }
            }

            #[inline]
            fn check_reserved(&self, rules: &crate::rules::Rules) -> Result<(), crate::error::WireError> {
                if rules.reserved_fields {
                    return Ok(());
                }
                $(
                    let value = crate::field::Field::number(self.$field);
                    if <$type as crate::field::Field>::IS_RESERVED && value != 0 {
                        return Err(crate::field::reserved_nonzero(stringify!($field), $at, value));
                    }
                )+
                Ok(())
            }

            #[cfg(feature = "inspect")]
            fn for_each(&self, see: &mut dyn FnMut(&'static str, u64)) {
                $(see(stringify!($field), crate::field::Field::number(self.$field));)+
            }
        }

        // The table has no gap and no overlap.
        const _: () = {
            let mut end = 0;
            $(
                assert!($at == end, concat!("the field before ", stringify!($field), " has another width"));
                end += <$type as crate::field::Field>::BYTES;
            )+
            assert!(end == $bytes, "the fields do not add up");
        };
    };
}

pub(crate) use fixed;

/// Bytes from `at` on; what is not there is zero.
#[inline]
pub(crate) fn chunk<const BYTES: usize>(bytes: &[u8], at: usize) -> [u8; BYTES] {
    let rest = bytes.get(at..).unwrap_or_default();
    if let Some(chunk) = rest.first_chunk() {
        return *chunk;
    }
    padded_chunk(rest)
}

#[cold]
fn padded_chunk<const BYTES: usize>(rest: &[u8]) -> [u8; BYTES] {
    let mut chunk = [0; BYTES];
    chunk
        .iter_mut()
        .zip(rest)
        .for_each(|(to, from)| *to = *from);
    chunk
}

/// `bytes` rounded up to a multiple of 8; at most `u64::MAX`.
pub(crate) const fn align8(bytes: u64) -> u64 {
    bytes.saturating_add(7) & !7
}
