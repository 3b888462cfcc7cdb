//! Transcripts of the real program in a scrubbed environment, in `testdata/cli`.

#[test]
fn transcripts() {
    let cases = trycmd::TestCases::new();
    for variable in ["CLICOLOR_FORCE", "FORCE_COLOR", "NO_COLOR", "CI"] {
        cases.env(variable, "");
    }
    cases
        .env("KUBECONFIG", "/nonexistent/kubeconfig")
        .env("HOME", "/nonexistent")
        .case("testdata/cli/*.trycmd")
        .case("testdata/cli/*.toml");
}
