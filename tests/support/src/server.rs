//! Servers that tests start for themselves: one that speaks S3 (moto, of PyPI) and one that speaks as Azure's blobs do
//! (Azurite, of npm). `cargo xtask servers` puts both into the user's cache; a test says that it is skipped where one
//! is not there.
//!
//! A process starts each once, on a port of its own, and keeps all in memory. It ends with the process, however that
//! ends: a shell waits for the end of a pipe that nobody else holds.

use crate::tool;
use std::env;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The version of moto; the rest of what it needs is in `tools/xtask/src/servers/moto.txt`.
pub const MOTO_VERSION: &str = "5.2.5";
/// The version of Azurite.
pub const AZURITE_VERSION: &str = "3.37.0";

/// Serves S3 alone, on any port that is free, which is told; a request of the log costs more than its answer. One
/// request at a time: of two puts that must not overwrite, moto lets both win at times.
const MOTO: &str = "\
import threading
from moto.moto_server.werkzeug_app import create_backend_app
from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import make_server
class Quiet(MotoRequestHandler):
    def log(self, *_): pass
app = create_backend_app('s3')
lock = threading.Lock()
def one(environ, start):
    with lock: return app(environ, start)
server = make_server('127.0.0.1', 0, one, threaded=True, request_handler=Quiet)
print(server.server_port, flush=True)
server.serve_forever()
";
/// As [`MOTO`]; Azurite tells no port that it was not given.
const AZURITE: &str = "\
const probe = require('net').createServer();
probe.listen(0, '127.0.0.1', () => {
  const { port } = probe.address();
  probe.close(() => {
    process.argv = [process.argv[0], 'azurite-blob', '--silent', '--skipApiVersionCheck', '--disableTelemetry',
      '--inMemoryPersistence', '--blobHost', '127.0.0.1', '--blobPort', String(port)];
    require(process.env.ESKER_AZURITE);
    const wait = () => {
      const socket = require('net').connect(port, '127.0.0.1');
      socket.on('connect', () => {
        socket.end();
        console.log(port);
        process.stdout.write = process.stderr.write = () => true;
      });
      socket.on('error', () => setTimeout(wait, 50));
    };
    wait();
  });
});
";
/// Makes a container, which takes a signed request.
const AZURE_CONTAINER: &str = "\
const [port, name, account, key] = process.argv.slice(1);
const date = new Date().toUTCString(), version = '2021-12-02';
const said = ['PUT', '', '', '', '', '', '', '', '', '', '', '', `x-ms-date:${date}`, `x-ms-version:${version}`,
  `/${account}/${account}/${name}`, 'restype:container'].join('\\n');
const signed = require('crypto').createHmac('sha256', Buffer.from(key, 'base64')).update(said).digest('base64');
const headers = { 'x-ms-date': date, 'x-ms-version': version, 'content-length': 0,
  authorization: `SharedKey ${account}:${signed}` };
const path = `/${account}/${name}?restype=container`;
require('http').request({ host: '127.0.0.1', port, path, method: 'PUT', headers }, answer => {
  console.log(answer.statusCode);
  answer.resume();
}).end();
";
/// The account that every Azurite has, and its key: no secret.
const AZURE_ACCOUNT: &str = "devstoreaccount1";
const AZURE_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
/// Waits for the end of its input, and ends what it started.
const UNTIL_THE_END: &str = "\"$@\" & server=$!; exec >&-; cat > /dev/null; kill $server";

/// A server of this process.
#[derive(Debug)]
pub struct Server {
    port: u16,
    /// Its input ends with this process.
    _shell: Child,
    /// What it says later is not read, and may be said.
    _output: Lines<BufReader<ChildStdout>>,
}

/// A bucket or container of a test's own.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// Its URL, to which a path may be added.
    pub url: String,
    /// What a client of it needs, by the names of the environment.
    pub settings: Vec<(&'static str, String)>,
    /// The server's address.
    pub address: String,
}

impl Bucket {
    /// The settings as a store takes them.
    #[must_use]
    pub fn options(&self) -> Vec<(&str, &str)> {
        self.settings.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }
}

/// Where the user's cache keeps a server, whether it is there or not.
///
/// # Errors
/// If nothing says where the user's cache is.
pub fn folder(server: &str, version: &str) -> Result<PathBuf, String> {
    let absolute = |path: Option<OsString>| path.map(PathBuf::from).filter(|p| p.is_absolute());
    let cache = absolute(env::var_os("XDG_CACHE_HOME"))
        .or_else(|| absolute(env::var_os("HOME")).map(|home| home.join(".cache")))
        .ok_or("neither XDG_CACHE_HOME nor HOME is an absolute path")?;
    Ok(cache.join("esker/servers").join(format!("{server}-{version}")))
}

/// A new bucket of this process's S3 server. If there is no server, says in one line that `what` is skipped.
///
/// # Panics
/// If it is there and does not start, or makes no bucket.
#[must_use]
pub fn s3(what: &str) -> Option<Bucket> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    let server = SERVER.get_or_init(|| {
        let python = or_panic(folder("moto", MOTO_VERSION)).join("bin/python");
        python.is_file().then(|| or_panic(Server::start(Command::new(python).args(["-c", MOTO]))))
    });
    let Some(server) = server else {
        tool::skip(what, "there is no moto: `cargo xtask servers` installs it");
        return None;
    };
    let (name, address) = (bucket_name(), format!("127.0.0.1:{}", server.port));
    or_panic(created(&address, &name));
    let settings = vec![
        ("AWS_ENDPOINT_URL", format!("http://{address}")),
        ("AWS_ALLOW_HTTP", "true".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "AKIAESKERTESTS".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "esker-tests-secret".to_owned()),
    ];
    Some(Bucket { url: format!("s3://{name}"), settings, address })
}

/// A new container of this process's Azure server. If there is no server, says in one line that `what` is skipped.
///
/// # Panics
/// As [`s3`].
#[must_use]
pub fn azure(what: &str) -> Option<Bucket> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    let server = SERVER.get_or_init(|| {
        let main = or_panic(folder("azurite", AZURITE_VERSION));
        let main = main.join("node_modules/azurite/dist/src/blob/main.js");
        let mut node = Command::new("node");
        node.args(["-e", AZURITE]).env("ESKER_AZURITE", &main);
        main.is_file().then(|| or_panic(Server::start(&node)))
    });
    let Some(Server { port, .. }) = server else {
        tool::skip(
            what,
            "there is no Azurite: `cargo xtask servers` installs it, where there is npm",
        );
        return None;
    };
    let (name, port) = (bucket_name(), port.to_string());
    let mut node = Command::new("node");
    node.args(["-e", AZURE_CONTAINER, &port, &name, AZURE_ACCOUNT, AZURE_KEY]);
    let made = or_panic(node.output().map_err(|error| format!("node: {error}")));
    assert_eq!(made.stdout, b"201\n", "Azurite makes no container: {made:?}");
    let address = format!("127.0.0.1:{port}");
    let settings = vec![
        ("AZURE_STORAGE_ENDPOINT", format!("http://{address}/{AZURE_ACCOUNT}")),
        ("AZURE_ALLOW_HTTP", "true".to_owned()),
        ("AZURE_STORAGE_ACCOUNT_NAME", AZURE_ACCOUNT.to_owned()),
        ("AZURE_STORAGE_ACCOUNT_KEY", AZURE_KEY.to_owned()),
    ];
    Some(Bucket { url: format!("az://{name}"), settings, address })
}

/// The environment variable that says which stores whole runs of tests are on: `memory`, `s3` or `azure`.
pub const STORE_VARIABLE: &str = "ESKER_TESTS_STORE";

/// Whether `ESKER_TESTS_STORE` names a server: each call takes milliseconds then.
#[must_use]
pub fn is_chosen() -> bool {
    env::var_os(STORE_VARIABLE).is_some_and(|store| store != "memory")
}

/// A new bucket of the server that `ESKER_TESTS_STORE` names; none where it says nothing, or memory.
///
/// # Panics
/// If it names anything else, or a server that is not there; as [`s3`].
#[must_use]
pub fn chosen() -> Option<Bucket> {
    let bucket = match env::var(STORE_VARIABLE).as_deref() {
        Err(env::VarError::NotPresent) | Ok("memory") => return None,
        Ok("s3") => s3("this run"),
        Ok("azure") => azure("this run"),
        other => or_panic(Err(format!("{STORE_VARIABLE}={other:?}: `memory`, `s3` or `azure`"))),
    };
    Some(or_panic(bucket.ok_or_else(|| format!("{STORE_VARIABLE}: that server is not there"))))
}

/// Of no other test, and of no other process of the same server.
fn bucket_name() -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    let (process, number) = (std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    // Of one length, so that what is drawn around it is.
    format!("esker-{process:010}-{number:06}")
}

impl Server {
    /// Starts a program that tells its port in a line of its own.
    fn start(program: &Command) -> Result<Self, String> {
        let mut shell = Command::new("sh");
        shell.args(["-c", UNTIL_THE_END, "server"]).arg(program.get_program());
        shell.args(program.get_args());
        for (name, value) in program.get_envs() {
            shell.env(name, value.unwrap_or_default());
        }
        #[cfg(unix)]
        {
            use std::os::unix::process::CommandExt;
            // An interrupt of the tests must not end the shell before the server.
            shell.process_group(0);
        }
        shell.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = shell.spawn().map_err(|error| format!("{shell:?}: {error}"))?;
        let stdout = shell.stdout.take().ok_or("no output")?;
        let mut lines = BufReader::new(stdout).lines();
        let mut said = Vec::new();
        loop {
            let Some(Ok(line)) = lines.next() else {
                return Err(format!("{program:?} did not start: {said:?}"));
            };
            match line.parse() {
                Ok(port) => return Ok(Self { port, _shell: shell, _output: lines }),
                Err(_) => said.push(line),
            }
        }
    }
}

/// Makes a bucket, which S3 is asked for in one request.
fn created(address: &str, bucket: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("the S3 server at {address}: {error}");
    let mut stream = TcpStream::connect(address).map_err(failed)?;
    let request = format!(
        "PUT /{bucket} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(failed)?;
    match answer.lines().next() {
        Some(line) if line.contains(" 200 ") => Ok(()),
        line => Err(format!("the S3 server makes no bucket: {line:?}")),
    }
}

#[allow(clippy::panic, reason = "a test that cannot start its server fails")]
fn or_panic<V>(said: Result<V, String>) -> V {
    said.unwrap_or_else(|message| panic!("{message}"))
}
