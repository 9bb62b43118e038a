//! A terminal, as the tool's tests use one: keys go in, a screen comes out.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// Longer than any screen takes to come, on a busy machine too.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A tool on a terminal of its own, which `script` of util-linux makes.
pub(crate) struct Terminal {
    child: Child,
    screen: Arc<(Mutex<vt100::Parser>, Condvar)>,
}

impl Terminal {
    /// Of 20 lines of 120.
    pub(crate) fn open(folder: &Path, args: &str) -> Self {
        let tool = env!("CARGO_BIN_EXE_esker");
        let command = format!("stty rows 20 cols 120; {tool} {args}");
        let mut child = Command::new("script")
            .args(["-qefc", &command, "/dev/null"])
            .env("SHELL", "/bin/sh")
            .env("TERM", "xterm")
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let screen = Arc::new((Mutex::new(vt100::Parser::new(20, 120, 0)), Condvar::new()));
        let (mut out, drawn) = (child.stdout.take().unwrap(), Arc::clone(&screen));
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(len @ 1..) = out.read(&mut bytes) {
                drawn.0.lock().unwrap().process(&bytes[..len]);
                drawn.1.notify_all();
            }
        });
        Self { child, screen }
    }

    /// Waits until the screen shows `text`; all of it.
    pub(crate) fn shows(&self, text: &str) -> String {
        let (parser, changed) = &*self.screen;
        let missing = |parser: &mut vt100::Parser| !parser.screen().contents().contains(text);
        let waited = changed.wait_timeout_while(parser.lock().unwrap(), WAIT_MAX, missing);
        let (parser, _) = waited.unwrap();
        let contents = parser.screen().contents();
        assert!(contents.contains(text), "no {text:?} on\n{contents}");
        contents
    }

    pub(crate) fn press(&mut self, keys: &str) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(keys.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    /// The exit code, once it has ended and left the terminal as it found it.
    pub(crate) fn ended(&mut self) -> i32 {
        let code = self.child.wait().unwrap().code().unwrap();
        let (parser, changed) = &*self.screen;
        let drawn = |parser: &mut vt100::Parser| {
            parser.screen().alternate_screen() || parser.screen().hide_cursor()
        };
        let (parser, _) =
            changed.wait_timeout_while(parser.lock().unwrap(), WAIT_MAX, drawn).unwrap();
        let screen = parser.screen();
        assert!(!screen.alternate_screen(), "the screen is still there\n{}", screen.contents());
        assert!(!screen.hide_cursor(), "there is no cursor");
        code
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A test that failed leaves nothing behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
