//! What a tenant may have put in the way.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::{ACCESS, content, digest, ensure_directory, entry, holds_one, link, open_directory, remove_file, rename, set_list, write_file};
use crate::engine::image::{Acl, Content, DirectoryImage, Entry, FileImage, Owner, WebRights};
use crate::system::removal::remove_some;
use crate::system::{CONTENT_LIMIT, Removed};

/// A scratch directory by its real path: the way to a temporary directory may itself lead over a link.
fn scratch() -> (TempDir, PathBuf) {
    let directory = TempDir::new().unwrap();
    let path = directory.path().canonicalize().unwrap();
    (directory, path)
}

fn own(path: &Path) -> Owner {
    let data = fs::metadata(path).unwrap();
    Owner { uid: data.uid(), gid: data.gid() }
}

fn file(directory: &Path, name: &str) -> FileImage {
    FileImage { path: directory.join(name), owner: own(directory), mode: 0o640, content: Content::from("text\n") }
}

#[test]
fn a_file_is_written_whole_with_its_mode_over_what_a_cut_has_left() {
    let (_keep, path) = scratch();
    fs::write(path.join(".gantry-a.conf.new"), "half").unwrap();
    let image = file(&path, "a.conf");
    write_file(&image).unwrap();
    assert_eq!(content(&image.path).unwrap(), b"text\n");
    assert!(matches!(entry(&image.path).unwrap(), Entry::File { mode: 0o640, len: 5, .. }));
    assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
}

#[test]
fn no_link_is_followed_at_any_component() {
    let (_keep, path) = scratch();
    let victim = path.join("victim");
    fs::create_dir(&victim).unwrap();
    fs::write(victim.join("kept"), "kept").unwrap();
    symlink(&victim, path.join("door")).unwrap();
    let through = path.join("door");
    assert!(write_file(&file(&victim, "x")).is_ok());
    assert!(write_file(&FileImage { path: through.join("y"), ..file(&victim, "y") }).is_err());
    assert!(content(&through.join("kept")).is_err());
    assert!(remove_file(&through.join("kept")).is_err());
    assert!(rename(&through.join("kept"), &path.join("stolen")).is_err());
    assert!(link(&through.join("z"), Path::new("/")).is_err());
    let directory = DirectoryImage { path: through.clone(), owner: own(&victim), mode: 0o777, acl: Acl::default() };
    assert!(ensure_directory(&directory).is_err());
    assert_eq!(fs::read_to_string(victim.join("kept")).unwrap(), "kept");
    assert_ne!(fs::metadata(&victim).unwrap().mode() & 0o777, 0o777);
    assert_eq!(entry(&through).unwrap(), Entry::Link { target: victim });
}

#[test]
fn a_pipe_does_not_hang_and_a_file_with_two_names_is_refused() {
    let (_keep, path) = scratch();
    mkfifo(&path.join("pipe"), Mode::S_IRWXU).unwrap();
    assert!(content(&path.join("pipe")).is_err());
    fs::write(path.join("one"), "").unwrap();
    fs::hard_link(path.join("one"), path.join("two")).unwrap();
    assert!(content(&path.join("two")).is_err());
    assert_eq!(entry(&path.join("two")).unwrap(), Entry::Other { found: "a file with several names" });
}

#[test]
fn a_digest_is_of_whatever_a_path_leads_to_of_any_size_and_says_when_that_is_no_file() {
    let (_keep, path) = scratch();
    let [large, second, door] = ["large", "second", "door"].map(|name| path.join(name));
    let content = vec![b'a'; usize::try_from(CONTENT_LIMIT).unwrap() * 2];
    fs::write(&large, &content).unwrap();
    let sum = HEXLOWER.encode(&Sha256::digest(&content));
    fs::hard_link(&large, &second).unwrap();
    symlink("second", &door).unwrap();
    assert_eq!([&large, &second, &door].map(|path| digest(path).unwrap()), [&sum, &sum, &sum].map(String::clone));
    fs::write(&large, "edited").unwrap();
    assert_eq!(digest(&door).unwrap(), HEXLOWER.encode(&Sha256::digest("edited")));
    mkfifo(&path.join("pipe"), Mode::S_IRWXU).unwrap();
    symlink("nothing", path.join("dangling")).unwrap();
    for (no_file, is_obstruction) in [("pipe", true), (".", true), ("dangling", false)] {
        assert_eq!(digest(&path.join(no_file)).unwrap_err().is_obstruction(), is_obstruction, "{no_file}");
    }
}

#[test]
fn removing_a_tree_takes_links_and_leaves_what_they_point_to() {
    let (_keep, path) = scratch();
    let (tree, victim) = (path.join("tree"), path.join("victim"));
    fs::create_dir_all(tree.join("a/b")).unwrap();
    fs::create_dir(&victim).unwrap();
    fs::write(victim.join("kept"), "").unwrap();
    symlink(&victim, tree.join("a/b/out")).unwrap();
    mkfifo(&tree.join("pipe"), Mode::S_IRWXU).unwrap();
    assert_eq!(remove_some(&tree, 100).unwrap(), Removed::All);
    assert_eq!(remove_some(&tree, 100).unwrap(), Removed::All);
    assert!(!tree.exists());
    assert!(victim.join("kept").exists());
}

#[test]
fn a_tree_of_any_depth_is_removed_on_a_small_stack() {
    let (_keep, path) = scratch();
    let tree = path.join("tree");
    fs::create_dir_all(tree.join("a/beside")).unwrap();
    let mut deepest = fs::File::open(&tree).unwrap();
    for _ in 0..3_000 {
        rustix::fs::mkdirat(&deepest, "d", rustix::fs::Mode::RWXU).unwrap();
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY;
        deepest = rustix::fs::openat(&deepest, "d", flags, rustix::fs::Mode::empty()).unwrap().into();
    }
    let target = tree.clone();
    let small = std::thread::Builder::new().stack_size(256 * 1024);
    small.spawn(move || remove_some(&target, usize::MAX).unwrap()).unwrap().join().unwrap();
    assert!(!tree.exists());
}

#[test]
fn a_tree_goes_in_portions_of_any_size() {
    for most in [1, 2, 7] {
        let (_keep, path) = scratch();
        let tree = path.join("tree");
        for directory in ["a/b/c", "a/d", "e"] {
            fs::create_dir_all(tree.join(directory)).unwrap();
            for file in ["1", "2", "3"] {
                fs::write(tree.join(directory).join(file), "").unwrap();
            }
        }
        let names = 14;
        let mut portions = 1;
        while remove_some(&tree, most).unwrap() == Removed::Part {
            portions += 1;
            assert!(portions <= names + 1, "no progress");
        }
        assert!(!tree.exists() && portions >= 9_usize.div_ceil(most), "nine files in {portions} portions of {most}");
    }
}

#[test]
fn a_directory_gets_its_lists_and_loses_them_again() {
    let (_keep, path) = scratch();
    let target = path.join("top");
    let acl = Acl::for_web_server(WebRights::Read, 33);
    let mut image = DirectoryImage { path: target.clone(), owner: own(&path), mode: 0o750, acl: acl.clone() };
    ensure_directory(&image).unwrap();
    // A file system without lists proves nothing here.
    if let Entry::Directory { acl: found, .. } = entry(&target).unwrap() {
        assert_eq!(found, acl);
    }
    image.acl = Acl::default();
    ensure_directory(&image).unwrap();
    assert_eq!(entry(&target).unwrap(), Entry::Directory { owner: own(&path), mode: 0o750, acl: Acl::default() });
}

/// The kernel's form of a list (linux/posix_acl_xattr.h): a version, and of each entry its kind, its rights and whom it concerns.
fn list_of(users: u32) -> String {
    let entry = |kind: u16, who: u32| [&kind.to_le_bytes()[..], &7_u16.to_le_bytes(), &who.to_le_bytes()].concat();
    let mut list = 2_u32.to_le_bytes().to_vec();
    list.extend(entry(1, u32::MAX));
    (0..users).for_each(|user| list.extend(entry(2, 1_000 + user)));
    [4, 16, 32].into_iter().for_each(|kind| list.extend(entry(kind, u32::MAX)));
    data_encoding::HEXLOWER.encode(&list)
}

#[test]
fn a_directory_with_a_list_of_hundreds_can_be_looked_at_and_gets_its_own_list_again() {
    // The disk's own file system may have room for less.
    let memory = Path::new("/dev/shm");
    let keep = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.unwrap();
    let target = keep.path().join("home");
    let image = DirectoryImage { path: target.clone(), owner: own(keep.path()), mode: 0o750, acl: Acl::default() };
    ensure_directory(&image).unwrap();
    let long = list_of(600);
    if set_list(&open_directory(&target).unwrap(), ACCESS, Some(&long)).is_err() {
        println!("skipped: this file system takes no such list");
        return;
    }
    let Entry::Directory { acl, .. } = entry(&target).unwrap() else { panic!("it is a directory") };
    assert_eq!(acl.access, Some(long));
    ensure_directory(&image).unwrap();
    assert_eq!(entry(&target).unwrap(), Entry::Directory { owner: image.owner, mode: 0o750, acl: Acl::default() });
}

#[test]
fn a_directory_holds_one_name_or_it_does_not() {
    let (_keep, path) = scratch();
    assert!(holds_one(&path.join("none")).is_err());
    for (name, one) in [("a", true), ("b", false), ("c", false)] {
        assert_eq!(holds_one(&path).unwrap(), name == "b");
        fs::write(path.join(name), "").unwrap();
        assert_eq!(holds_one(&path).unwrap(), one);
    }
}

#[test]
fn moving_never_replaces_and_is_done_once() {
    let (_keep, path) = scratch();
    let (from, to) = (path.join("from"), path.join("to"));
    fs::create_dir(&from).unwrap();
    rename(&from, &to).unwrap();
    rename(&from, &to).unwrap();
    fs::create_dir(&from).unwrap();
    assert!(rename(&from, &to).is_err());
}
