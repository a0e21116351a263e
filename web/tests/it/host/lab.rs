//! The managed host, from outside.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The host the tests work on.
pub(crate) struct Lab {
    script: PathBuf,
    host: String,
    pub(crate) address: String,
}

impl Lab {
    pub(crate) fn from_env() -> Self {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../.ci/lab/lab.sh");
        let host = std::env::var("GANTRY_E2E_HOST").expect("GANTRY_E2E_HOST names the host");
        let mut lab = Self { script, host, address: String::new() };
        lab.address = lab.run("address", &[]).trim().to_owned();
        lab
    }

    /// Starts a further host, of a Debian release of its own.
    pub(crate) fn start(host: &str, suite: &str) -> Self {
        let mut lab = Self { host: host.to_owned(), ..Self::from_env() };
        let started = Command::new(&lab.script).args(["up", host]).env("GANTRY_LAB_SUITE", suite).stdin(Stdio::null()).output();
        let started = started.expect("the lab script runs");
        assert!(started.status.success(), "{host} does not start: {}", String::from_utf8_lossy(&started.stderr));
        lab.address = lab.run("address", &[]).trim().to_owned();
        lab
    }

    /// Runs a command in the host: whether it succeeded, and all it said.
    pub(crate) fn tell(&self, command: &[&str]) -> (bool, String) {
        let output = self.output("exec", command);
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    /// Runs a subcommand of the lab on the host; panics if it fails.
    pub(crate) fn run(&self, subcommand: &str, arguments: &[&str]) -> String {
        let output = self.output(subcommand, arguments);
        assert!(
            output.status.success(),
            "lab {subcommand} {arguments:?} failed: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn output(&self, subcommand: &str, arguments: &[&str]) -> Output {
        Command::new(&self.script)
            .arg(subcommand)
            .arg(&self.host)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("the lab script runs")
    }

    /// Runs a command in the host; panics if it fails.
    pub(crate) fn exec(&self, command: &[&str]) -> String {
        self.run("exec", command)
    }

    /// Whether a command in the host succeeds.
    pub(crate) fn succeeds(&self, command: &[&str]) -> bool {
        self.output("exec", command).status.success()
    }

    /// Writes a file in the host.
    pub(crate) fn write(&self, path: &str, content: &str) {
        let file = tempfile::NamedTempFile::new().expect("a scratch file");
        std::fs::write(file.path(), content).expect("the scratch file");
        self.run("put", &[file.path().to_str().expect("a plain path"), path, "0644"]);
    }

    /// Fetches a page of a site from the host's own nginx: status and body. Status 0 means no answer.
    pub(crate) fn fetch(&self, domain: &str, path: &str) -> (u16, String) {
        self.fetch_from(&self.address, domain, path)
    }

    /// The same over IPv6.
    pub(crate) fn fetch_ipv6(&self, domain: &str, path: &str) -> (u16, String) {
        self.fetch_from(&format!("[{}]", self.run("address", &["6"]).trim()), domain, path)
    }

    fn fetch_from(&self, address: &str, domain: &str, path: &str) -> (u16, String) {
        let output = Command::new("curl")
            .args(["--silent", "--max-time", "10", "--noproxy", "*", "--write-out", "\n%{http_code}", "--header"])
            .arg(format!("Host: {domain}"))
            .args(["--globoff", &format!("http://{address}{path}")])
            .output()
            .expect("curl runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, status) = text.rsplit_once('\n').unwrap_or(("", "0"));
        (status.parse().unwrap_or(0), body.to_owned())
    }

    /// Posts a body of so many bytes to a page of a site: the status.
    pub(crate) fn post(&self, domain: &str, path: &str, bytes: usize) -> u16 {
        let body = tempfile::NamedTempFile::new().expect("a scratch file");
        std::fs::write(body.path(), vec![b'x'; bytes]).expect("the scratch file");
        let output = Command::new("curl")
            .args(["--silent", "--max-time", "30", "--noproxy", "*", "--output", "/dev/null", "--write-out", "%{http_code}"])
            .args(["--header", "Content-Type: application/octet-stream", "--header", &format!("Host: {domain}"), "--data-binary"])
            .arg(format!("@{}", body.path().display()))
            .arg(format!("http://{}{path}", self.address))
            .output()
            .expect("curl runs");
        String::from_utf8_lossy(&output.stdout).parse().unwrap_or(0)
    }

    /// Uploads a file by SFTP as a password user.
    pub(crate) fn sftp_put(&self, user: &str, password: &str, content: &str, destination: &str) -> bool {
        let file = tempfile::NamedTempFile::new().expect("a scratch file");
        std::fs::write(file.path(), content).expect("the scratch file");
        // The client passes the file's mode on; a private file would be private on the host too.
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644)).expect("the scratch file's mode");
        let batch = format!("put {} {destination}\n", file.path().display());
        self.sftp(user, password, &batch)
    }

    /// Runs SFTP commands as a password user; whether all succeeded.
    pub(crate) fn sftp(&self, user: &str, password: &str, batch: &str) -> bool {
        let commands = tempfile::NamedTempFile::new().expect("a scratch file");
        std::fs::write(commands.path(), batch).expect("the scratch file");
        Command::new("sshpass")
            .env("SSHPASS", password)
            .args(["-e", "sftp", "-o", "BatchMode=no", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"])
            .args(["-o", "PubkeyAuthentication=no", "-o", "ConnectTimeout=10", "-o", "LogLevel=ERROR", "-b"])
            .arg(commands.path())
            .arg(format!("{user}@{}", self.address))
            .stdin(Stdio::null())
            .output()
            .expect("sshpass runs")
            .status
            .success()
    }

    /// Runs SFTP commands with a key; whether all succeeded.
    pub(crate) fn sftp_with_key(&self, user: &str, key: &std::path::Path, batch: &str) -> bool {
        let commands = tempfile::NamedTempFile::new().expect("a scratch file");
        std::fs::write(commands.path(), batch).expect("the scratch file");
        Command::new("sftp")
            .args(["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"])
            .args(["-o", "IdentitiesOnly=yes", "-o", "ConnectTimeout=10", "-o", "LogLevel=ERROR", "-i"])
            .arg(key)
            .arg("-b")
            .arg(commands.path())
            .arg(format!("{user}@{}", self.address))
            .stdin(Stdio::null())
            .output()
            .expect("sftp runs")
            .status
            .success()
    }

    /// Waits until a condition holds, looking again every 50 ms.
    pub(crate) fn until(&self, what: &str, patience: Duration, condition: impl Fn() -> bool) {
        let deadline = Instant::now() + patience;
        while !condition() {
            assert!(Instant::now() < deadline, "waited {patience:?} for: {what}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
