//! Tokens of agents on the server: compare-and-swap, two handles, ends, a full server, sealing.

use aims::jose::time::{UnixTime, after};
use aims::oauth_client::{Error, SealingKey, StoreKey, StoredValue, TokenStore as _};
use aims::redis::SharedTokens;
use redis::Value;

use crate::Failure;
use crate::server::{PASSWORD, Server};
use crate::table::Table;

pub(crate) async fn run(redis: &mut Server, table: &mut Table) -> Result<(), Failure> {
    table.part("tokens of agents");
    redis.tell(&["FLUSHALL"]).await?;
    let text = SealingKey::generate()?;
    let open = || {
        let key = SealingKey::from_text(&text)?;
        Ok::<_, Failure>(SharedTokens::new(&redis.url(PASSWORD), key)?)
    };
    let (one, two) = (open()?, open()?);
    let key = key(1)?;
    let first = one.swap(&key, None, Some(value("planted"))).await?;
    table.row("a new value", "true", &first.is_some().to_string());
    let again = two.swap(&key, None, Some(value("x"))).await?;
    table.row(
        "another one for the same key",
        "None",
        &format!("{again:?}"),
    );
    let found = two.load(&key).await?;
    let is_same = found.is_some_and(|(text, version)| text == "planted" && Some(version) == first);
    table.row("the other handle reads it", "true", &is_same.to_string());
    let old = two.swap(&key, Some(1), None).await?;
    table.row(
        "a removal with another version",
        "None",
        &format!("{old:?}"),
    );

    one.swap(&key, first, Some(value("0"))).await?;
    let mut tasks = Vec::new();
    for number in 0..32 {
        let (store, key) = (
            if number % 2 == 0 {
                open()?
            } else {
                one.clone()
            },
            key.clone(),
        );
        tasks.push(tokio::spawn(async move {
            let mut done = 0;
            while done < 5 {
                let (text, version) = store.load(&key).await?.ok_or(Error::Interrupted)?;
                let next = text.expose().parse::<u32>().unwrap_or(0) + 1;
                let swapped = store.swap(&key, Some(version), Some(value(&next.to_string())));
                done += u32::from(swapped.await?.is_some());
            }
            Ok::<_, Error>(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    let sum = two
        .load(&key)
        .await?
        .map(|(text, _)| text.expose().to_owned());
    table.row(
        "32 tasks, 5 changes each: none is lost",
        "160",
        &sum.unwrap_or_default(),
    );

    let soon = after(UnixTime::now(), std::time::Duration::from_secs(1));
    let ending = StoredValue::new("x".into(), Some(soon));
    one.swap(&self::key(2)?, None, Some(ending)).await?;
    let keys = two.keys(key.group()).await?.len();
    table.row("the keys of the group", "2", &keys.to_string());
    tokio::time::sleep(std::time::Duration::from_millis(2_100)).await;
    let keys = two.keys(key.group()).await?.len();
    table.row("the keys when one has ended", "1", &keys.to_string());
    let gone = two.load(&self::key(2)?).await?.is_none();
    table.row(
        "the value that has ended is gone",
        "true",
        &gone.to_string(),
    );

    one.swap(&self::key(3)?, None, Some(value("planted")))
        .await?;
    let raw = redis
        .tell(&[
            "GET",
            &format!("{{aims}}:tokens:{}", self::key(3)?.as_str()),
        ])
        .await?;
    let Value::BulkString(raw) = raw else {
        return Err("no value".into());
    };
    let is_shown = raw.windows(7).any(|it| it == b"planted");
    table.row("the server sees the token", "false", &is_shown.to_string());
    let other = SealingKey::from_text(&SealingKey::generate()?)?;
    let other = SharedTokens::new(&redis.url(PASSWORD), other)?;
    table.row("another key", "store.content", code(other.load(&key).await));
    let wrong = SharedTokens::new(&redis.url("wrong"), SealingKey::from_text(&text)?)?;
    table.row(
        "a wrong password",
        "store.unavailable",
        code(wrong.load(&key).await),
    );

    redis.tell(&["CONFIG", "SET", "maxmemory", "1mb"]).await?;
    let full = one.swap(&self::key(4)?, None, Some(value("x"))).await;
    table.row("a full server", "store.full", code(full));
    redis.tell(&["CONFIG", "SET", "maxmemory", "0"]).await?;
    let fits = one.swap(&self::key(4)?, None, Some(value("x"))).await;
    table.row("a server with room again", "ok", code(fits));
    redis.end().await?;
    table.row("no server", "store.unavailable", code(one.load(&key).await));
    redis.run().await?;
    table.row("a server again", "ok", code(one.load(&key).await));
    Ok(())
}

fn key(number: usize) -> Result<StoreKey, Error> {
    format!("{:A<43}.{number:0>43}", "").parse()
}

fn value(text: &str) -> StoredValue {
    StoredValue::new(text.into(), None)
}

fn code<T>(result: Result<T, Error>) -> &'static str {
    result.map_or_else(|error| error.code(), |_| "ok")
}
