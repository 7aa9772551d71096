//! From columns to values. A column that can't be understood is an error, never a default.

use std::str::FromStr;

use serde::{Serialize, de::DeserializeOwned};
use sqlx::{Row as _, sqlite::SqliteRow};
use time::OffsetDateTime;

use crate::store::{Result, StoreError};

fn corrupt(column: &'static str, why: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt { what: column, why: why.to_string() }
}

/// A column whose type SQLite knows.
pub(super) fn get<'r, T>(row: &'r SqliteRow, column: &'static str) -> Result<T>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    Ok(row.try_get(column)?)
}

/// A text column with a type of ours.
pub(super) fn parsed<T: FromStr<Err: std::fmt::Display>>(
    row: &SqliteRow,
    column: &'static str,
) -> Result<T> {
    get::<String>(row, column)?.parse().map_err(|why| corrupt(column, why))
}

pub(super) fn parsed_option<T: FromStr<Err: std::fmt::Display>>(
    row: &SqliteRow,
    column: &'static str,
) -> Result<Option<T>> {
    get::<Option<String>>(row, column)?
        .map(|text| text.parse().map_err(|why| corrupt(column, why)))
        .transpose()
}

/// A text column that holds JSON.
pub(super) fn json<T: DeserializeOwned>(row: &SqliteRow, column: &'static str) -> Result<T> {
    serde_json::from_str(&get::<String>(row, column)?).map_err(|why| corrupt(column, why))
}

pub(super) fn json_option<T: DeserializeOwned>(
    row: &SqliteRow,
    column: &'static str,
) -> Result<Option<T>> {
    get::<Option<String>>(row, column)?
        .map(|text| serde_json::from_str(&text).map_err(|why| corrupt(column, why)))
        .transpose()
}

/// A text column that holds the name of a variant.
pub(super) fn named<T: DeserializeOwned>(row: &SqliteRow, column: &'static str) -> Result<T> {
    serde_json::from_value(serde_json::Value::String(get(row, column)?))
        .map_err(|why| corrupt(column, why))
}

/// A number that is never negative.
pub(super) fn number<T: TryFrom<i64>>(row: &SqliteRow, column: &'static str) -> Result<T> {
    T::try_from(get::<i64>(row, column)?).map_err(|_| corrupt(column, "out of range"))
}

pub(super) fn at(row: &SqliteRow, column: &'static str) -> Result<OffsetDateTime> {
    from_ms(get(row, column)?, column)
}

pub(super) fn at_option(row: &SqliteRow, column: &'static str) -> Result<Option<OffsetDateTime>> {
    get::<Option<i64>>(row, column)?.map(|ms| from_ms(ms, column)).transpose()
}

fn from_ms(ms: i64, column: &'static str) -> Result<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000)
        .map_err(|why| corrupt(column, why))
}

/// Unix time in milliseconds; the years that `OffsetDateTime` knows fit.
pub(super) fn ms(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000)
        .expect("years up to 9999 fit into 64 bits of milliseconds")
}

pub(super) fn to_json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("our own types have string keys and no failing serialisers")
}

/// Name of a unit variant.
pub(super) fn name_of<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        other => unreachable!("only unit variants are stored by name, not {other:?}"),
    }
}

/// SQLite's integers are signed; counters of ours stay far below the sign.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Turns a violated unique key into [`StoreError::Exists`].
pub(super) fn exists(
    what: &'static str,
    id: impl std::fmt::Display,
) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |error| match error.as_database_error() {
        Some(database) if database.is_unique_violation() => {
            StoreError::Exists { what, id: id.to_string() }
        }
        _ => error.into(),
    }
}
