//! Notices of the system that files have changed, so that nobody has to look at them all the time. They are lost on
//! network file systems and where the system's limits are reached: so who waits for them looks now and then all the
//! same.

use std::path::PathBuf;
use std::rc::Rc;

use tokio::sync::Notify;

pub(super) use self::notices::Watcher;

/// Files that are watched. Dropping it ends that.
pub(super) struct Watch {
    watcher: Watcher,
    changed: Rc<Notify>,
    paths: Vec<PathBuf>,
}

impl Watch {
    /// Watches these files, and no others any more. Has to be said again now and then: the watch of a file ends with
    /// it, though there may be another of its name.
    pub(super) fn set(&mut self, paths: Vec<PathBuf>) {
        self.watcher.change(&self.changed, &self.paths, &paths);
        self.paths = paths;
    }

    /// When one of the files has changed since this was waited for last.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.watcher.change(&self.changed, &self.paths, &[]);
    }
}

#[cfg(target_os = "linux")]
mod notices {
    use std::cell::RefCell;
    use std::collections::HashMap;
    use std::path::{Path, PathBuf};
    use std::rc::Rc;

    use futures_util::StreamExt;
    use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask, Watches};
    use tokio::sync::Notify;

    use super::Watch;

    /// Bytes for the notices that are read at once.
    const NOTICES: usize = 4096;

    /// One for all files of an arbiter.
    #[derive(Clone)]
    pub(in super::super) struct Watcher(Rc<RefCell<Watched>>);

    #[derive(Default)]
    struct Watched {
        /// `None` where the system gives none.
        watches: Option<Watches>,
        by_path: HashMap<PathBuf, (WatchDescriptor, Vec<Rc<Notify>>)>,
        by_descriptor: HashMap<WatchDescriptor, PathBuf>,
    }

    impl Watcher {
        pub(in super::super) fn new() -> Self {
            let watched = Rc::new(RefCell::new(Watched::default()));
            let stream = Inotify::init().and_then(|inotify| inotify.into_event_stream([0; NOTICES]));
            match stream {
                Ok(mut notices) => {
                    watched.borrow_mut().watches = Some(notices.watches());
                    let watched = Rc::downgrade(&watched);
                    actix_web::rt::spawn(async move {
                        while let Some(Ok(notice)) = notices.next().await {
                            let Some(watched) = watched.upgrade() else { return };
                            watched.borrow_mut().happened(&notice.wd, notice.mask);
                        }
                    });
                }
                Err(error) => tracing::info!(%error, "no notices of changed files: they are looked at"),
            }
            Self(watched)
        }

        pub(in super::super) fn watch(&self) -> Watch {
            Watch { watcher: self.clone(), changed: Rc::new(Notify::new()), paths: Vec::new() }
        }

        pub(super) fn change(&self, who: &Rc<Notify>, from: &[PathBuf], to: &[PathBuf]) {
            let mut watched = self.0.borrow_mut();
            for path in from.iter().filter(|path| !to.contains(path)) {
                watched.remove(path, who);
            }
            for path in to {
                watched.add(path, who);
            }
        }
    }

    impl Watched {
        fn happened(&mut self, descriptor: &WatchDescriptor, what: EventMask) {
            let Some(path) = self.by_descriptor.get(descriptor) else { return };
            for who in self.by_path.get(path).iter().flat_map(|(_, watching)| watching) {
                who.notify_one();
            }
            if what.contains(EventMask::IGNORED) {
                self.by_path.remove(path);
                self.by_descriptor.remove(descriptor);
            }
        }

        fn add(&mut self, path: &Path, who: &Rc<Notify>) {
            if let Some((_, watching)) = self.by_path.get_mut(path) {
                if !watching.iter().any(|watching| Rc::ptr_eq(watching, who)) {
                    watching.push(who.clone());
                }
                return;
            }
            let Some(watches) = &mut self.watches else { return };
            let what = WatchMask::MODIFY | WatchMask::MOVE_SELF | WatchMask::DELETE_SELF | WatchMask::CREATE;
            // What cannot be watched is looked at.
            let Ok(descriptor) = watches.add(path, what) else { return };
            self.by_descriptor.insert(descriptor.clone(), path.to_owned());
            self.by_path.insert(path.to_owned(), (descriptor, vec![who.clone()]));
        }

        fn remove(&mut self, path: &Path, who: &Rc<Notify>) {
            let Some((descriptor, watching)) = self.by_path.get_mut(path) else { return };
            watching.retain(|watching| !Rc::ptr_eq(watching, who));
            if watching.is_empty() {
                let descriptor = descriptor.clone();
                self.by_path.remove(path);
                self.by_descriptor.remove(&descriptor);
                // One whose file is gone has ended by itself.
                let _ = self.watches.as_mut().map(|watches| watches.remove(descriptor));
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod notices {
    use std::path::PathBuf;
    use std::rc::Rc;

    use tokio::sync::Notify;

    use super::Watch;

    /// This system is not asked for notices.
    #[derive(Clone)]
    pub(in super::super) struct Watcher;

    impl Watcher {
        pub(in super::super) fn new() -> Self {
            Self
        }

        pub(in super::super) fn watch(&self) -> Watch {
            Watch { watcher: self.clone(), changed: Rc::new(Notify::new()), paths: Vec::new() }
        }

        pub(super) fn change(&self, _: &Rc<Notify>, _: &[PathBuf], _: &[PathBuf]) {}
    }
}
