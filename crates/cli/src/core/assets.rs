//! `assets`: the daemon's store. spec: nanograph 19.1

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use futures_util::TryStreamExt;
use nanograph::assets::{AssetClient, AssetError, AssetRef, Download, Upload};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::args::{
    AssetsCommand, AssetsGcArgs, AssetsGetArgs, AssetsLsArgs, AssetsPutArgs, AssetsRmArgs,
};
use super::client::{Daemon, parse, part, refusal};
use super::show::{bytes, cell, list};
use crate::failure::{Failure, chain};
use crate::micro::Table;
use crate::terminal;

pub(super) async fn assets(command: AssetsCommand) -> Result<(), Failure> {
    match command {
        AssetsCommand::Ls(args) => ls(args).await,
        AssetsCommand::Put(args) => put(args).await,
        AssetsCommand::Get(args) => get(args).await,
        AssetsCommand::Rm(args) => rm(args).await,
        AssetsCommand::Gc(args) => gc(args).await,
    }
}

async fn ls(args: AssetsLsArgs) -> Result<(), Failure> {
    let daemon = Daemon::find(&args.daemon)?;
    let mut path = format!("/assets?limit={}", args.limit);
    for (key, value) in [("type", &args.kind), ("name", &args.name)] {
        if let Some(value) = value {
            path.push_str(&format!("&{key}={}", part(value)));
        }
    }
    let text = daemon.plain(Method::GET, &path).await?;
    if args.json {
        terminal::json(text);
        return Ok(());
    }
    let answer: Value = parse(&text)?;
    let mut table = Table::new(&["NAME", "TYPE", "SIZE#", "STORED", "HASH"]);
    for asset in list(&answer, "assets") {
        table.row([
            cell(asset, "name"),
            cell(asset, "type"),
            asset["size"].as_u64().map_or_else(|| "-".to_owned(), bytes),
            cell(asset, "created_at"),
            asset["hash"].as_str().unwrap_or("-").to_owned(),
        ]);
    }
    table.print();
    Ok(())
}

async fn put(args: AssetsPutArgs) -> Result<(), Failure> {
    let assets = Daemon::find(&args.daemon)?.assets()?;
    for file in &args.files {
        let mut upload = Upload::path(file);
        if let Some(kind) = &args.kind {
            upload = upload.of_type(kind);
        }
        let asset = assets
            .upload(upload)
            .await
            .map_err(|error| failed(&file.display().to_string(), &error))?;
        if args.json {
            terminal::json(&asset.raw);
        } else {
            terminal::result(terminal::plain(asset.hash.as_deref().unwrap_or_default()));
        }
    }
    Ok(())
}

async fn get(args: AssetsGetArgs) -> Result<(), Failure> {
    let assets = Daemon::find(&args.daemon)?.assets()?;
    let reference = reference(&args.asset)?;
    let answer = assets.resolve(&reference).await;
    let download = answer.map_err(|error| failed(&args.asset, &error))?;
    match &args.out {
        Some(path) => save(download, path).await,
        None => copy(download, &mut tokio::io::stdout(), "standard output").await,
    }
}

/// Fetches an asset to a file; its own name.
pub(super) async fn fetch(
    daemon: &Daemon,
    assets: &AssetClient,
    text: &str,
    path: &Path,
) -> Result<String, Failure> {
    let reference = reference(text)?;
    let about = daemon
        .plain(Method::GET, &format!("/assets/{}", part(reference.id())))
        .await;
    let about = about.map_err(|failure| {
        failure
            .into_failed()
            .prefixed(&format!("the result {text}: "))
    })?;
    let asset: Value = parse(&about)?;
    let answer = assets.resolve(&reference).await;
    save(answer.map_err(|error| failed(text, &error))?, path).await?;
    Ok(asset["name"].as_str().unwrap_or("asset").to_owned())
}

/// Writes to a file beside the one wanted, which so is whole or as it was.
async fn save(download: Download, path: &Path) -> Result<(), Failure> {
    let wrong = |error: &dyn std::fmt::Display| {
        Failure::failed(format!("cannot write {}: {error}", path.display()))
    };
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let part = tempfile::Builder::new()
        // As any other new file: what the person's umask leaves.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder.unwrap_or_else(|| Path::new(".")));
    let part = part.map_err(|error| wrong(&error))?;
    let file = part.reopen().map_err(|error| wrong(&error))?;
    let mut file = tokio::fs::File::from_std(file);
    copy(download, &mut file, &path.display().to_string()).await?;
    part.persist(path).map_err(|error| wrong(&error.error))?;
    Ok(())
}

async fn copy(
    mut download: Download,
    target: &mut (impl AsyncWrite + Unpin),
    name: &str,
) -> Result<(), Failure> {
    let wrong = |error: std::io::Error| Failure::failed(format!("cannot write {name}: {error}"));
    while let Some(chunk) = download
        .try_next()
        .await
        .map_err(|error| failed("the asset", &error))?
    {
        target.write_all(&chunk).await.map_err(wrong)?;
    }
    target.flush().await.map_err(wrong)
}

async fn rm(args: AssetsRmArgs) -> Result<(), Failure> {
    let daemon = Daemon::find(&args.daemon)?;
    for text in &args.assets {
        let reference = reference(text)?;
        daemon
            .plain(Method::DELETE, &format!("/assets/{}", part(reference.id())))
            .await?;
        terminal::result(format_args!("deleted {}", terminal::plain(text)));
    }
    Ok(())
}

async fn gc(args: AssetsGcArgs) -> Result<(), Failure> {
    let daemon = Daemon::find(&args.daemon)?;
    let wish = json!({ "olderThanSeconds": args.older_than.as_secs(), "dryRun": args.dry_run });
    let text = daemon.post("/assets/gc", Some(wish.to_string())).await?;
    if args.json {
        terminal::json(text);
        return Ok(());
    }
    let answer: Value = parse(&text)?;
    let number = |key: &str| answer[key].as_u64().unwrap_or_default();
    let gone = list(&answer, "assets");
    if !gone.is_empty() {
        let mut table = Table::new(&["NAME", "SIZE#", "HASH"]);
        for asset in gone {
            table.row([
                cell(asset, "name"),
                asset["size"].as_u64().map_or_else(|| "-".to_owned(), bytes),
                cell(asset, "hash"),
            ]);
        }
        table.print();
    }
    let done = if args.dry_run {
        "would delete"
    } else {
        "deleted"
    };
    terminal::result(format_args!(
        "{done} {} assets, {}; {} more are referred to",
        number("deleted"),
        bytes(number("bytes")),
        number("referred"),
    ));
    Ok(())
}

/// A reference as people have it: also a bare uuid.
fn reference(text: &str) -> Result<AssetRef, Failure> {
    let parsed = text.parse().or_else(|_| AssetRef::uuid("any", text));
    parsed.map_err(|_| {
        Failure::usage(format!(
            "{text} names no asset; it is a uuid, sha256:… or nanocore://…"
        ))
    })
}

fn failed(name: &str, error: &AssetError) -> Failure {
    let text = format!("{name}: {}", chain(error));
    match error {
        AssetError::Status { status: 404, .. } => {
            Failure::usage(format!("{name}: the daemon has no such asset"))
        }
        AssetError::Status { status, body } => {
            let status = StatusCode::from_u16(*status).ok();
            let refusal = status.and_then(|status| refusal(status, body));
            refusal.map_or_else(
                || Failure::failed(text),
                |refusal| refusal.prefixed(&format!("{name}: ")),
            )
        }
        AssetError::File { .. } => Failure::usage(text),
        AssetError::Unreachable { .. } => Failure::servers(text),
        AssetError::NotConfigured { .. }
        | AssetError::InvalidEndpoint { .. }
        | AssetError::InvalidToken
        | AssetError::NoTlsProvider
        | AssetError::InvalidReference(_)
        | AssetError::TimedOut { .. }
        | AssetError::TooLarge { .. }
        | AssetError::Interrupted { .. }
        | AssetError::InvalidAnswer { .. }
        | AssetError::InvalidContentType { .. } => Failure::failed(text),
    }
}
