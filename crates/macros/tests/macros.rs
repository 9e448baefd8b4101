//! What the macros take, and what they say about the rest. To bless new messages: `TRYBUILD=overwrite`.

#[test]
fn messages_point_at_what_is_wrong() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass/*.rs");
    cases.compile_fail("tests/ui/fail/*.rs");
}
