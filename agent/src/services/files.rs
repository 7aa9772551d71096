//! `Files`: what the studio's user sees, for people and scripts outside. The agent runs as that user: the kernel decides
//! what may be read and written.

use std::fs::{File, FileType, Metadata};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::stream;
use proto::FRAME_BYTES;
use proto::agent::v1::{
    FileData, FileInfo, ListFilesReply, ListFilesRequest, ReadFileRequest, StatRequest,
    WriteFileRequest, file_info::Kind, files_server::Files,
};
use tokio::task::spawn_blocking;
use tonic::{Request, Response, Status, Streaming};

use super::{Service, Stream_};
use crate::ids::random_id;

fn refuse(error: &io::Error) -> Status {
    let text = error.to_string();
    match error.kind() {
        io::ErrorKind::NotFound => Status::not_found(text),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Status::permission_denied(text)
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Status::resource_exhausted(text)
        }
        io::ErrorKind::NotADirectory
        | io::ErrorKind::IsADirectory
        | io::ErrorKind::AlreadyExists => Status::failed_precondition(text),
        io::ErrorKind::InvalidFilename | io::ErrorKind::InvalidInput => {
            Status::invalid_argument(text)
        }
        _ => Status::internal(text),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Status> {
    let done = spawn_blocking(work).await.map_err(|_| Status::internal("the file task failed"))?;
    done.map_err(|error| refuse(&error))
}

fn kind(file_type: FileType) -> Kind {
    if file_type.is_file() {
        Kind::File
    } else if file_type.is_dir() {
        Kind::Folder
    } else if file_type.is_symlink() {
        Kind::Symlink
    } else {
        Kind::Other
    }
}

fn info(name: &[u8], path: &Path, metadata: &Metadata) -> io::Result<FileInfo> {
    let kind = kind(metadata.file_type());
    let link_target = if kind == Kind::Symlink {
        std::fs::read_link(path)?.as_os_str().as_bytes().to_vec()
    } else {
        vec![]
    };
    Ok(FileInfo {
        name: Bytes::copy_from_slice(name),
        kind: kind.into(),
        size: metadata.len(),
        mode: metadata.mode() & 0o7777,
        mtime_ms: metadata
            .mtime()
            .saturating_mul(1_000)
            .saturating_add(metadata.mtime_nsec() / 1_000_000),
        link_target: link_target.into(),
    })
}

fn stat(path: &Path) -> io::Result<FileInfo> {
    let name = path.file_name().unwrap_or(path.as_os_str());
    info(name.as_bytes(), path, &std::fs::symlink_metadata(path)?)
}

fn list(path: &Path, after: &[u8], limit: usize) -> io::Result<ListFilesReply> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let name = entry?.file_name();
        if name.as_bytes() > after {
            names.push(name);
        }
    }
    names.sort_unstable_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    let more = names.len() > limit;
    let mut entries = Vec::new();
    for name in names.into_iter().take(limit) {
        let path = path.join(&name);
        match std::fs::symlink_metadata(&path)
            .and_then(|metadata| info(name.as_bytes(), &path, &metadata))
        {
            Ok(info) => entries.push(info),
            // Gone since the folder was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(ListFilesReply { entries, more })
}

/// Never waits: a pipe without a writer would hold the thread for ever.
fn open_to_read(path: &Path, from: u64) -> io::Result<File> {
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let mut file = File::options().read(true).custom_flags(nonblocking).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::IsADirectory, "only regular files can be read"));
    }
    file.seek(SeekFrom::Start(from))?;
    Ok(file)
}

/// A file under a temporary name, renamed or removed at the end.
struct Staged {
    file: File,
    temporary: PathBuf,
    target: PathBuf,
    kept: bool,
}

impl Staged {
    fn create(target: PathBuf, mode: u32) -> io::Result<Self> {
        // Through a link, its target is replaced, not the link.
        let target = target.canonicalize().unwrap_or(target);
        if target.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let mode = if mode == 0 {
            target.metadata().map_or(0o644, |metadata| metadata.mode() & 0o7777)
        } else {
            mode & 0o7777
        };
        let folder = target.parent().ok_or(io::ErrorKind::InvalidInput)?;
        let temporary = folder.join(format!(".atelier-{}", random_id()));
        let file = File::options().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.set_permissions(std::fs::Permissions::from_mode(mode))?;
        Ok(Self { file, temporary, target, kept: false })
    }

    fn finish(mut self) -> io::Result<FileInfo> {
        self.file.sync_data()?;
        std::fs::rename(&self.temporary, &self.target)?;
        self.kept = true;
        stat(&self.target)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.kept {
            std::fs::remove_file(&self.temporary).ok();
        }
    }
}

impl Service {
    fn path(&self, path: &[u8]) -> Result<PathBuf, Status> {
        if path.contains(&0) {
            return Err(Status::invalid_argument("a path can't hold NUL"));
        }
        let path = Path::new(std::ffi::OsStr::from_bytes(path));
        if path.is_absolute() {
            return Ok(path.to_owned());
        }
        let plan = self.agent.launch.plan();
        let plan =
            plan.ok_or_else(|| Status::failed_precondition("no manifest has been launched yet"))?;
        Ok(plan.workspace.join(path))
    }
}

#[tonic::async_trait]
impl Files for Service {
    async fn stat(&self, request: Request<StatRequest>) -> Result<Response<FileInfo>, Status> {
        let path = self.path(&request.get_ref().path)?;
        Ok(Response::new(blocking(move || stat(&path)).await?))
    }

    async fn list(
        &self,
        request: Request<ListFilesRequest>,
    ) -> Result<Response<ListFilesReply>, Status> {
        let request = request.into_inner();
        let path = self.path(&request.path)?;
        if !(1..=1_000).contains(&request.limit) {
            return Err(Status::invalid_argument("limit must be 1 to 1000"));
        }
        let limit = request.limit as usize;
        Ok(Response::new(blocking(move || list(&path, &request.after, limit)).await?))
    }

    type ReadStream = Stream_<FileData>;

    async fn read(
        &self,
        request: Request<ReadFileRequest>,
    ) -> Result<Response<Self::ReadStream>, Status> {
        let request = request.into_inner();
        let path = self.path(&request.path)?;
        let file = blocking(move || open_to_read(&path, request.from)).await?;
        let left = if request.length == 0 { u64::MAX } else { request.length };
        let stream = stream::unfold(Some((file, left)), |state| async move {
            let (mut file, left) = state?;
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(FRAME_BYTES);
            let piece = blocking(move || {
                let mut data = vec![0; wanted];
                let count = file.read(&mut data)?;
                data.truncate(count);
                Ok((file, data))
            });
            match piece.await {
                Ok((_, data)) if data.is_empty() => None,
                Ok((file, data)) => {
                    let left = left - data.len() as u64;
                    Some((Ok(FileData { data: data.into() }), Some((file, left))))
                }
                Err(status) => Some((Err(status), None)),
            }
        });
        Ok(Response::new(Box::pin(stream)))
    }

    async fn write(
        &self,
        request: Request<Streaming<WriteFileRequest>>,
    ) -> Result<Response<FileInfo>, Status> {
        let mut messages = request.into_inner();
        let first = messages
            .message()
            .await?
            .ok_or_else(|| Status::invalid_argument("a path is missing"))?;
        let path = self.path(&first.path)?;
        let mut staged = blocking(move || Staged::create(path, first.mode)).await?;
        let (mut data, marks_last, mut whole) = (first.data, first.marks_last, first.last);
        loop {
            staged = blocking(move || {
                staged.file.write_all(&data)?;
                Ok(staged)
            })
            .await?;
            match messages.message().await? {
                Some(more) => (data, whole) = (more.data, more.last),
                None => break,
            }
        }
        if marks_last && !whole {
            return Err(Status::aborted("the content broke off; nothing was written"));
        }
        Ok(Response::new(blocking(move || staged.finish()).await?))
    }
}
