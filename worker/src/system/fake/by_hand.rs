//! What somebody does on the fake host by hand, past the worker.

use std::path::Path;

use super::{FakeSystem, Node};
use crate::engine::image::{Acl, Owner, UserRecord};

impl FakeSystem {
    /// Puts something there, as an admin or a tenant would.
    pub fn put(&self, path: &str, node: Node) {
        self.lock().host.nodes.insert(path.into(), node);
    }

    /// Puts a file of root's there.
    pub fn put_file(&self, path: &str, content: &str) {
        self.put(path, Node::File { owner: Owner::ROOT, mode: 0o644, content: content.as_bytes().to_vec() });
    }

    /// Puts a file of root's there just before nginx is told to read its configuration.
    pub fn put_file_at_reload(&self, path: &str, content: &str) {
        let node = Node::File { owner: Owner::ROOT, mode: 0o644, content: content.as_bytes().to_vec() };
        self.lock().at_change = Some(("signal nginx".to_owned(), path.into(), node));
    }

    /// From now on somebody changes how a site answers with each reload.
    pub fn make_restless(&self, domain: &str) {
        self.lock().restless = Some(domain.to_owned());
    }

    /// Takes something away.
    pub fn take(&self, path: &str) {
        self.lock().host.nodes.remove(Path::new(path));
    }

    /// Adds a user that Gantry did not make.
    pub fn put_user(&self, name: &str, uid: u32) {
        let record = UserRecord {
            uid,
            gid: uid,
            group: name.to_owned(),
            comment: String::new(),
            groups: Vec::new(),
            password: "!".to_owned(),
            expires: None,
        };
        self.lock().host.users.insert(name.to_owned(), record);
    }

    /// Has a unit stop, as an admin's hand does.
    pub fn stop(&self, unit: &str) {
        self.lock().host.active.remove(unit);
    }

    /// From now on a unit does not end when it is told to finish: its own account keeps stopping its process.
    pub fn keep_from_finishing(&self, unit: &str) {
        self.lock().deaf_units.insert(unit.to_owned());
    }

    /// Gives a user another password field, as an admin's hand does.
    pub fn set_password(&self, user: &str, field: &str) {
        if let Some(record) = self.lock().host.users.get_mut(user) {
            field.clone_into(&mut record.password);
        }
    }

    /// Removes a user, as an admin's hand does.
    pub fn remove_user_by_hand(&self, user: &str) {
        self.lock().host.users.remove(user);
    }

    /// Adds a group without a user, such as is left where a user was half made or half removed.
    pub fn put_group(&self, name: &str, gid: u32) {
        self.lock().host.groups.insert(name.to_owned(), gid);
    }

    /// Has a unit run, as a first request starts a sleeping pool.
    pub fn start(&self, unit: &str) {
        self.lock().host.active.insert(unit.to_owned());
    }
}

impl Node {
    /// A directory of root's.
    #[must_use]
    pub fn directory() -> Self {
        Self::Directory { owner: Owner::ROOT, mode: 0o755, acl: Acl::default() }
    }
}
