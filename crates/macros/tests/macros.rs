//! What the macros say about what they do not take; what they do take is in `kinds.rs`. To bless new messages: `TRYBUILD=overwrite`.

#[test]
fn messages_point_at_what_is_wrong() {
    // No cases that pass: with them, trybuild builds all dependencies where it else only checks them.
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/*.rs");
}
