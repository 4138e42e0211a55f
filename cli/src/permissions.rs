//! Whether other users can read, change or replace a file.

use std::fs::{self, File, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::failure::Failure;

/// Checks an open file with a bootstrap token. A pipe has no folder, so only its owner is checked.
///
/// # Errors
///
/// `cli.permissions` if other users have access to it, if it or its folder belongs to another user
/// than this one and root, or if others can write the folder and are not kept from replacing its
/// files (the sticky bit). Others are all but this user and this user's own group.
pub(crate) fn check(path: &Path, file: &File) -> Result<(), Failure> {
    let unreadable = |error| Failure::file(path, error);
    let found = file.metadata().map_err(unreadable)?;
    let found = if found.is_file() {
        let target = fs::canonicalize(path).map_err(unreadable)?;
        let folder = target.parent().unwrap_or(&target);
        let folder = fs::metadata(folder).map_err(unreadable)?;
        defect(&found, &folder, own())
    } else {
        foreign(&found, own())
    };
    match found {
        Some(reason) => Err(Failure::Permissions {
            path: path.to_owned(),
            reason,
        }),
        None => Ok(()),
    }
}

fn defect(file: &Metadata, folder: &Metadata, own: Option<(u32, u32)>) -> Option<String> {
    let mode = file.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Some(format!("mode {mode:04o}: other users can read or write it"));
    }
    if let Some(reason) = foreign(file, own) {
        return Some(reason);
    }
    let mode = folder.mode() & 0o7777;
    let by_group = mode & 0o020 != 0 && own.is_none_or(|(_, group)| group != folder.gid());
    if (mode & 0o002 != 0 || by_group) && mode & 0o1000 == 0 {
        return Some(format!(
            "its folder has the mode {mode:04o}: other users can replace it"
        ));
    }
    let owner = folder.uid();
    if owner != 0 && own.is_some_and(|(user, _)| user != owner) {
        return Some(format!(
            "its folder belongs to the user {owner}, who can replace it"
        ));
    }
    None
}

fn foreign(file: &Metadata, own: Option<(u32, u32)>) -> Option<String> {
    let owner = file.uid();
    own.filter(|(user, _)| *user != owner)
        .map(|_| format!("it belongs to the user {owner}, who knows it"))
}

/// Returns user and group of this process, where the system tells them by a file: on Linux.
/// Elsewhere owners are not checked.
fn own() -> Option<(u32, u32)> {
    let own = fs::metadata("/proc/self").ok()?;
    Some((own.uid(), own.gid()))
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, create_dir_all, remove_dir_all, set_permissions, write};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// Each case differs from a good file in one thing.
    #[test]
    fn a_file_and_its_folder_are_of_this_user() {
        let folder = std::env::temp_dir().join(format!("aims-permissions-{}", std::process::id()));
        create_dir_all(&folder).unwrap();
        let path = folder.join("agent.token");
        write(&path, "secret").unwrap();
        let metadata = fs::metadata(&path).unwrap();
        let (own, group) = (metadata.uid(), fs::metadata(&folder).unwrap().gid());
        let found = |file: u32, of_folder: u32, user: Option<(u32, u32)>| {
            set_permissions(&path, Permissions::from_mode(file)).unwrap();
            set_permissions(&folder, Permissions::from_mode(of_folder)).unwrap();
            let (file, folder) = (fs::metadata(&path), fs::metadata(&folder));
            defect(&file.unwrap(), &folder.unwrap(), user).unwrap_or_default()
        };
        let this = (own, group);
        assert_eq!(found(0o600, 0o700, Some(this)), "");
        assert_eq!(found(0o400, 0o775, Some(this)), "");
        assert_eq!(found(0o600, 0o1777, Some(this)), "");
        for (file, of_folder, process, named) in [
            (0o640, 0o700, this, "mode 0640: "),
            (0o602, 0o700, this, "mode 0602: "),
            (0o600, 0o700, (own + 1, group), "it belongs to the user"),
            (0o600, 0o777, this, "its folder has the mode 0777"),
            (
                0o600,
                0o770,
                (own, group + 1),
                "its folder has the mode 0770",
            ),
        ] {
            let found = found(file, of_folder, Some(process));
            assert!(found.starts_with(named), "{found}");
        }
        remove_dir_all(&folder).unwrap();
    }

    /// A new file belongs to the user that the check takes this process for.
    #[test]
    #[cfg(target_os = "linux")]
    fn the_user_is_the_owner_of_new_files() {
        let path = std::env::temp_dir().join(format!("aims-owner-{}", std::process::id()));
        write(&path, "").unwrap();
        let found = fs::metadata(&path).unwrap();
        assert_eq!(own(), Some((found.uid(), found.gid())));
        fs::remove_file(&path).unwrap();
    }
}
