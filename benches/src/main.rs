//! The binary `versus`.

fn main() -> std::process::ExitCode {
    esker_benches::versus::main()
}
