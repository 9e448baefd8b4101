//! The files of a log: `server.log`, and older ones as `server.1.log` and so on. A thread of their own writes them, so
//! that a slow disk holds up nobody.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use super::{LogLine, LogOptions};

/// Lines that wait to be written; beyond, lines are not written.
const WAITING_MAX: usize = 8192;

#[derive(Debug)]
pub(super) struct LogFiles {
    orders: SyncSender<Order>,
    not_written: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Order {
    Line(Arc<LogLine>),
    Flush(SyncSender<()>),
}

impl LogFiles {
    /// Begins to write in this folder, which is made when the first line comes.
    pub(super) fn start(folder: PathBuf, options: LogOptions) -> Self {
        let (orders, taken) = sync_channel(WAITING_MAX);
        let not_written = Arc::new(AtomicU64::new(0));
        let writer = Writer {
            folder,
            options,
            file: None,
            bytes: 0,
            not_written: Arc::clone(&not_written),
        };
        let spawned = std::thread::Builder::new()
            .name("nanocore-log".to_owned())
            .spawn(move || writer.run(&taken));
        if let Err(error) = spawned {
            tracing::warn!(%error, "logs of a node server will not be written to files");
        }
        Self {
            orders,
            not_written,
        }
    }

    pub(super) fn push(&self, line: Arc<LogLine>) {
        match self.orders.try_send(Order::Line(line)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.not_written.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub(super) fn not_written(&self) -> u64 {
        self.not_written.load(Ordering::Relaxed)
    }

    pub(super) fn flush(&self) {
        let (done, wait) = sync_channel(1);
        if self.orders.send(Order::Flush(done)).is_ok() {
            // An error means that the thread is gone, with all that it will ever write.
            let _ = wait.recv();
        }
    }
}

struct Writer {
    folder: PathBuf,
    options: LogOptions,
    file: Option<BufWriter<File>>,
    /// In the file.
    bytes: u64,
    not_written: Arc<AtomicU64>,
}

impl Writer {
    /// Ends with the log.
    fn run(mut self, orders: &Receiver<Order>) {
        while let Ok(order) = orders.recv() {
            self.take(order);
            // What waits is written as one; what does not wait is in the file at once.
            while let Ok(order) = orders.try_recv() {
                self.take(order);
            }
            self.flush();
        }
    }

    fn take(&mut self, order: Order) {
        match order {
            Order::Line(line) => {
                if let Err(error) = self.write(&line) {
                    self.not_written.fetch_add(1, Ordering::Relaxed);
                    tracing::debug!(%error, "a line of a node server's log was not written");
                    // Opened anew, with the length it really has.
                    self.file = None;
                }
            }
            Order::Flush(done) => {
                self.flush();
                // Nobody need wait any more.
                let _ = done.send(());
            }
        }
    }

    fn write(&mut self, line: &LogLine) -> io::Result<()> {
        let text = line.write();
        let length = text.len() as u64;
        if self.bytes > 0 && self.bytes + length > self.options.file_bytes_max {
            self.rotate()?;
        }
        self.open()?.write_all(text.as_bytes())?;
        self.bytes += length;
        Ok(())
    }

    fn open(&mut self) -> io::Result<&mut BufWriter<File>> {
        let file = match self.file.take() {
            Some(file) => file,
            None => {
                fs::create_dir_all(&self.folder)?;
                let path = path(&self.folder, 0);
                let file = OpenOptions::new().create(true).append(true).open(path)?;
                self.bytes = file.metadata()?.len();
                BufWriter::new(file)
            }
        };
        Ok(self.file.insert(file))
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.flush();
        self.file = None;
        self.bytes = 0;
        let oldest = self.options.files_max.max(1) - 1;
        if oldest == 0 {
            return remove(&path(&self.folder, 0));
        }
        remove(&path(&self.folder, oldest))?;
        for number in (0..oldest).rev() {
            match fs::rename(path(&self.folder, number), path(&self.folder, number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    fn flush(&mut self) {
        if let Some(Err(error)) = self.file.as_mut().map(Write::flush) {
            tracing::debug!(%error, "a node server's log was not written");
            self.not_written.fetch_add(1, Ordering::Relaxed);
            self.file = None;
        }
    }
}

fn path(folder: &Path, number: usize) -> PathBuf {
    let name = match number {
        0 => "server.log".to_owned(),
        number => format!("server.{number}.log"),
    };
    folder.join(name)
}

/// The last lines that the files in this folder have, the latest last: as many as the ring keeps. Blocks.
pub(super) fn read_tail(folder: &Path, options: &LogOptions) -> Vec<LogLine> {
    let mut bytes_left = options.bytes_max as u64;
    let mut texts = Vec::new();
    for number in 0..options.files_max.max(1) {
        // What cannot be read is missing, as what is older is.
        let Ok((text, is_whole)) = read_end(&path(folder, number), bytes_left) else {
            break;
        };
        bytes_left = bytes_left.saturating_sub(text.len() as u64);
        texts.push(text);
        if !is_whole {
            break;
        }
    }
    let mut lines: VecDeque<LogLine> = VecDeque::new();
    for line in texts.iter().rev().flat_map(|text| text.lines()) {
        match (LogLine::read(line), lines.back_mut()) {
            (Some(line), _) => lines.push_back(line),
            (None, Some(before)) => {
                before.text.push('\n');
                before.text.push_str(line);
            }
            (None, None) => {}
        }
        if lines.len() > options.lines_max {
            lines.pop_front();
        }
    }
    lines.into()
}

/// The end of a file, from the begin of a line on, and whether that is all of it.
fn read_end(path: &Path, bytes_max: u64) -> io::Result<(String, bool)> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let skipped = length.saturating_sub(bytes_max);
    file.seek(SeekFrom::Start(skipped))?;
    let mut bytes = Vec::new();
    file.take(bytes_max).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    if skipped == 0 {
        return Ok((text.into_owned(), true));
    }
    let (_, text) = text.split_once('\n').unwrap_or_default();
    Ok((text.to_owned(), false))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
