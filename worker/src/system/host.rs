//! The real host.

use std::path::Path;
use std::thread;
use std::time::Duration;

use shared::events::{HostFacts, RoleHealth};
use shared::names::{DomainName, LinuxUser, PhpVersion};

use super::{
    Check, NginxTest, PhpTest, ProbeAnswer, StagedChange, System, SystemError, files, inspect, probe, role_health, services, stage, users,
};
use crate::engine::image::{DirectoryImage, Entry, FileImage, UnitState, UserImage, UserRecord};

/// The host this program runs on, as root.
#[derive(Debug, Clone, Copy)]
pub struct Host(());

impl Host {
    /// Takes hold of the host: makes the place where candidates lie while a daemon looks at them.
    ///
    /// # Errors
    /// It cannot be made: not root, or a host unlike Debian's.
    pub fn open() -> Result<Self, SystemError> {
        services::make_candidates()?;
        Ok(Self(()))
    }
}

impl System for Host {
    fn entry(&self, path: &Path) -> Result<Entry, SystemError> {
        files::entry(path)
    }

    fn content(&self, path: &Path) -> Result<Vec<u8>, SystemError> {
        files::content(path)
    }

    fn list(&self, path: &Path) -> Result<Vec<String>, SystemError> {
        files::list(path)
    }

    fn write_file(&self, file: &FileImage) -> Result<(), SystemError> {
        files::write_file(file)
    }

    fn create_file(&self, file: &FileImage) -> Result<(), SystemError> {
        files::create_file(file)
    }

    fn remove_file(&self, path: &Path) -> Result<(), SystemError> {
        files::remove_file(path)
    }

    fn link(&self, path: &Path, target: &Path) -> Result<(), SystemError> {
        files::link(path, target)
    }

    fn ensure_directory(&self, directory: &DirectoryImage) -> Result<(), SystemError> {
        files::ensure_directory(directory)
    }

    fn remove_directory(&self, path: &Path) -> Result<(), SystemError> {
        files::remove_directory(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), SystemError> {
        files::rename(from, to)
    }

    fn remove_tree(&self, path: &Path) -> Result<(), SystemError> {
        files::remove_tree(path)
    }

    fn user(&self, name: &str) -> Result<Option<UserRecord>, SystemError> {
        users::user(name)
    }

    fn user_of_uid(&self, uid: u32) -> Result<Option<String>, SystemError> {
        users::user_of_uid(uid)
    }

    fn group(&self, name: &str) -> Result<Option<u32>, SystemError> {
        users::group(name)
    }

    fn group_of_gid(&self, gid: u32) -> Result<Option<String>, SystemError> {
        users::group_of_gid(gid)
    }

    fn add_user(&self, user: &UserImage) -> Result<(), SystemError> {
        users::add_user(user)
    }

    fn remove_user(&self, name: &LinuxUser) -> Result<(), SystemError> {
        users::remove_user(name)
    }

    fn set_password(&self, name: &LinuxUser, field: &str) -> Result<(), SystemError> {
        users::set_password(name, field)
    }

    fn set_expiry(&self, name: &LinuxUser, day: Option<i64>) -> Result<(), SystemError> {
        users::set_expiry(name, day)
    }

    fn end_processes(&self, uid: u32) -> Result<(), SystemError> {
        users::end_processes(uid)
    }

    fn unit(&self, unit: &str) -> Result<UnitState, SystemError> {
        services::unit(unit)
    }

    fn start_unit(&self, unit: &str) -> Result<(), SystemError> {
        services::start_unit(unit)
    }

    fn stop_unit(&self, unit: &str) -> Result<(), SystemError> {
        services::stop_unit(unit)
    }

    fn reload_unit(&self, unit: &str) -> Result<(), SystemError> {
        services::reload_unit(unit)
    }

    fn load_units(&self) -> Result<(), SystemError> {
        services::load_units()
    }

    fn test_nginx(&self, changes: &[StagedChange]) -> Result<NginxTest, SystemError> {
        stage::test_nginx(changes)
    }

    fn reload_nginx(&self) -> Result<(), SystemError> {
        services::reload_nginx()
    }

    fn test_php(&self, test: &PhpTest<'_>) -> Result<Check, SystemError> {
        services::test_php(test)
    }

    fn test_sshd(&self) -> Result<Check, SystemError> {
        services::test_sshd()
    }

    fn probe(&self, domain: &DomainName) -> Result<ProbeAnswer, SystemError> {
        Ok(probe::probe(domain))
    }

    fn pause(&self, time: Duration) {
        thread::sleep(time);
    }

    fn php_versions(&self) -> Result<Vec<PhpVersion>, SystemError> {
        inspect::php_versions()
    }

    fn has_ipv6(&self) -> bool {
        inspect::has_ipv6()
    }

    fn web_health(&self) -> RoleHealth {
        inspect::web_health()
    }

    fn role_health(&self) -> Vec<RoleHealth> {
        role_health::role_health()
    }

    fn host_facts(&self) -> HostFacts {
        inspect::host_facts()
    }
}
