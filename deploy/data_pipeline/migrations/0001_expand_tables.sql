-- The tables of the contracts (handlers/contracts.py) and the ledger of the files.
-- Limits are CHECK constraints, so that the database holds them against everybody and COPY needs no check beside it.

create table airlines (
    carrier text not null check (char_length(carrier) between 1 and 8),
    name text not null check (char_length(name) between 1 and 200),
    primary key (carrier)
);

create table airports (
    faa text not null check (char_length(faa) between 1 and 8),
    name text not null check (char_length(name) between 1 and 200),
    lat double precision not null check (lat between -90 and 90),
    lon double precision not null check (lon between -180 and 180),
    alt integer not null check (alt between -2000 and 30000),
    tz integer not null check (tz between -12 and 14),
    dst text not null check (char_length(dst) = 1),
    tzone text check (char_length(tzone) <= 64),
    primary key (faa)
);

create table flights_airport (
    origin text not null check (char_length(origin) between 1 and 8),
    destination text not null check (char_length(destination) between 1 and 8),
    count integer not null check (count >= 0),
    primary key (origin, destination)
);

create table planes (
    tailnum text not null check (char_length(tailnum) between 1 and 8),
    year smallint check (year between 0 and 2100),
    type text not null check (char_length(type) between 1 and 100),
    manufacturer text not null check (char_length(manufacturer) between 1 and 100),
    model text not null check (char_length(model) between 1 and 100),
    engines smallint not null check (engines between 0 and 16),
    seats smallint not null check (seats between 0 and 1000),
    speed smallint check (speed >= 0),
    engine text not null check (char_length(engine) between 1 and 100),
    primary key (tailnum)
);

create table synthetic (
    id text not null check (char_length(id) between 1 and 100),
    put_at timestamptz not null,
    primary key (id)
);

create table loaded_files (
    bucket text not null,
    key text not null,
    version text not null,
    table_name text,
    row_count bigint not null,
    loaded_at timestamptz not null default now(),
    primary key (bucket, key, version)
);
