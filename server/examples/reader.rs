//! What `burnish-worker read` does, for the server's tests: they need no model and so no worker.

fn main() -> std::process::ExitCode {
    reader::serve(contract::reading::MEMORY)
}
