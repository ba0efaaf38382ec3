//! Files made to do harm: small ones that would become large, deep or slow. The same bytes at every call.

use contract::dataset::FileKind;

use super::parquet::{Column, Page, columns, dictionary_bomb, lists, named, nested, nulls, one_column};

/// A name that says what it is, the kind it is given as, and its bytes.
pub(crate) type Hostile = (String, FileKind, Vec<u8>);

/// Every file.
pub(crate) fn files() -> Vec<Hostile> {
    let mut all = Vec::new();
    texts(&mut all);
    json(&mut all);
    tables(&mut all);
    parquets(&mut all);
    changed(&mut all);
    all
}

const SIZES: [usize; 2] = [3_000, 100_000];

/// Bytes that no reader should choke on, whatever they are given as.
fn texts(all: &mut Vec<Hostile>) {
    let kinds = [FileKind::Txt, FileKind::Csv, FileKind::Json, FileKind::Jsonl, FileKind::Parquet];
    for size in SIZES {
        let same = |byte: u8| vec![byte; size];
        let noise = noise(size as u64, size);
        let surrogates = [vec![0xFF, 0xFE], [0x00, 0xD8].repeat(size / 2)].concat();
        let japanese = [b"\x1B$B".to_vec(), b"$3".repeat(size / 2)].concat();
        for (what, bytes) in [
            ("nul", same(0)),
            ("blanks", same(b' ')),
            ("lines", same(b'\n')),
            ("quotes", same(b'"')),
            ("open", same(b'[')),
            ("brace", same(b'{')),
            ("commas", same(b',')),
            ("letters", same(b'x')),
            ("high", same(0xFF)),
            ("surrogates", surrogates),
            ("escapes", same(b'\\')),
            ("iso_2022", japanese),
            ("noise", noise),
        ] {
            all.extend(kinds.map(|kind| (format!("{what}_{size}"), kind, bytes.clone())));
        }
    }
}

fn json(all: &mut Vec<Hostile>) {
    let mut put = |name: String, kind: FileKind, text: String| all.push((name, kind, text.into_bytes()));
    for count in [1_000, 300_000] {
        let members = |value: &dyn Fn(usize) -> String| {
            let members: Vec<String> = (0..count).map(|n| format!("\"k{n:06}\":{}", value(n))).collect();
            format!("{{{}}}\n", members.join(","))
        };
        for kind in [FileKind::Json, FileKind::Jsonl] {
            put(format!("keys_{count}"), kind, members(&|_| "1".to_owned()));
            put(
                format!("key_again_{count}"),
                kind,
                format!("{{\"k\":1,{}", &members(&|_| "1".to_owned())[1..]),
            );
            put(
                format!("fields_{count}"),
                kind,
                format!("{{\"a\":{}}}", members(&|_| "1".to_owned()).trim_end()),
            );
            put(format!("columns_{count}"), kind, members(&|_| "[1]".to_owned()));
            put(format!("keyed_{count}"), kind, members(&|n| format!("{{\"q\":\"{n}\"}}")));
            let names: String = (0..count).map(|n| format!("{{\"name {n}\":\"{n}\"}}\n")).collect();
            put(format!("names_by_row_{count}"), kind, names);
            let dotted: String = (0..count / 10).map(|n| format!("{{\"a.{n}\":{{\"b\":{n}}}}}\n")).collect();
            put(format!("dotted_{count}"), kind, dotted);
        }
    }
    for count in [10_000, 2_000_000] {
        for (what, one) in [
            ("numbers", "0"),
            ("objects", "{}"),
            ("members", "{\"a\":1}"),
            ("lists", "[]"),
            ("texts", "\"\""),
        ] {
            let row = format!("{{\"prompt\":[{}],\"response\":\"a\"}}\n", vec![one; count].join(","));
            put(format!("{what}_{count}"), FileKind::Jsonl, row.clone());
            put(format!("{what}_{count}"), FileKind::Json, format!("[{row}]"));
        }
    }
    for depth in [100, 127, 129, 10_000, 1_000_000] {
        for (what, open, close) in [("lists", "[", "]"), ("objects", "{\"a\":", "}")] {
            let row = format!("{{\"a\":{}1{}}}\n", open.repeat(depth), close.repeat(depth));
            put(format!("deep_{what}_{depth}"), FileKind::Jsonl, row.clone());
            put(format!("deep_{what}_{depth}"), FileKind::Json, format!("[{row}]"));
        }
    }
    let long = "n".repeat(1 << 20);
    put("long_key".into(), FileKind::Jsonl, format!("{{\"{long}\":1}}\n"));
    put("long_key_twice".into(), FileKind::Jsonl, format!("{{\"{0}\":1,\"{0}\":1}}\n", &long[..900]));
    put("long_number".into(), FileKind::Jsonl, format!("{{\"a\":{}}}\n", "9".repeat(1 << 20)));
    put("nan".into(), FileKind::Jsonl, format!("{{\"a\":[{}]}}\n", vec!["NaN"; 200_000].join(",")));
    put(
        "infinity".into(),
        FileKind::Jsonl,
        format!("{{\"a\":[{}],}}\n", vec!["-Infinity"; 100_000].join(",")),
    );
    put("halves".into(), FileKind::Jsonl, "{\"a\":\"\\ud800\"}\n".repeat(20_000));
    put(
        "half_then_good".into(),
        FileKind::Jsonl,
        format!("{}{{\"a\":1}}\n", "{\"a\":\"\\ud800\"}\n".repeat(19)),
    );
    put("broken_lines".into(), FileKind::Jsonl, format!("{{\"a\":1}}\n{}", "{\n".repeat(50_000)));
    // The text of an article once for each of its questions.
    let article = |text: usize, questions: usize| {
        format!(
            "{{\"data\":[{{\"paragraphs\":[{{\"context\":\"{}\",\"qas\":[{}]}}]}}]}}",
            "t".repeat(text),
            vec!["{}"; questions].join(",")
        )
    };
    put("article".into(), FileKind::Json, article(1 << 20, 100_000));
    put("articles".into(), FileKind::Json, article(1_000, 10_000));
    let column = |cell: &str| format!("[{}]", vec![cell; 200_000].join(","));
    put("two_columns".into(), FileKind::Json, format!("{{\"q\":{},\"a\":{}}}", column("1"), column("\"\"")));
    put("uneven_columns".into(), FileKind::Json, format!("{{\"q\":{},\"a\":[1]}}", column("1")));
    put(
        "skipped_member".into(),
        FileKind::Json,
        format!("{{\"x\":{},\"rows\":[{{\"a\":1}}]}}", column("[[[]]]")),
    );
    let turns =
        "{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":\"a\"},".repeat(5_000);
    put("turns".into(), FileKind::Jsonl, format!("{{\"messages\":[{}]}}\n", turns.trim_end_matches(',')));
}

fn tables(all: &mut Vec<Hostile>) {
    let mut put = |name: String, text: String| all.push((name, FileKind::Csv, text.into_bytes()));
    for count in [1_000, 9_999, 10_001, 300_000] {
        for separator in [",", ";", "\t", "|"] {
            put(
                format!("separators_{count}_{}", separator.as_bytes()[0]),
                format!("{}\n", separator.repeat(count)),
            );
        }
        let names: Vec<String> = (0..count).map(|n| format!("n{n}")).collect();
        put(format!("wide_{count}"), format!("{}\n{}\n", names.join(","), vec!["x"; count].join(",")));
        put(format!("wide_row_{count}"), format!("a,b\nc,d\n{}\n", "x,".repeat(count)));
        put(format!("blanks_after_{count}"), format!("\"a\"{},b\nc,d\n", " ".repeat(count)));
        put(format!("blanks_before_{count}"), format!("a,{}\"b\"\nc,d\n", " ".repeat(count)));
        put(format!("quoted_{count}"), "\"a\" ,\"b\"\n".repeat(count));
        put(format!("doubled_{count}"), format!("a,\"{}\"\nc,d\n", "\"\"".repeat(count)));
        put(format!("open_quote_{count}"), format!("a,b\nc,\"{}\n", "x,y\n".repeat(count)));
        put(format!("returns_{count}"), format!("a,b\n{}c,d\n", "\r".repeat(count)));
    }
    put("long_name".into(), format!("{},b\nc,d\n", "n".repeat(1 << 20)));
    put("long_cell".into(), format!("a,b\nc,{}\n", "x".repeat(2 << 20)));
    put(
        "table_of_200_rows".into(),
        "x,".repeat(5_000).trim_end_matches(',').to_owned()
            + "\n"
            + &format!("{}\n", vec!["1"; 5_000].join(",")).repeat(200),
    );
}

fn parquets(all: &mut Vec<Hostile>) {
    let mut put = |name: String, bytes: Vec<u8>| all.push((name, FileKind::Parquet, bytes));
    for depth in [10, 60, 100, 30_000] {
        put(format!("deep_{depth}"), nested(depth));
    }
    for width in [100, 20_000] {
        put(format!("wide_{width}"), columns(width));
    }
    put("children".into(), named(&[("r", Some(0x7FFF_FFFF)), ("a", None)], 0));
    put("negative_children".into(), named(&[("r", Some(-1)), ("a", None)], 0));
    put("two_trees".into(), named(&[("r", Some(1)), ("a", None), ("b", None)], 0));
    let long = "n".repeat(100_000);
    put("long_name".into(), named(&[("r", Some(1)), (&long, None)], 0));
    put("many_rows".into(), named(&[("r", Some(1)), ("a", None)], i64::MAX));
    put("negative_rows".into(), named(&[("r", Some(1)), ("a", None)], -1));
    for rows in [1_000, 200_000, 1_000_000_000] {
        put(format!("nulls_{rows}"), nulls(rows));
    }
    for (size, rows) in [(1_000, 1_000), (100_000, 500), (1 << 20, 900_000), (8 << 20, 1_000)] {
        put(format!("dictionary_{size}_{rows}"), dictionary_bomb(size, rows));
    }
    for (values, size) in [(1_000, 10), (900_000, 10), (100_000_000, 1), (500_000, 100_000)] {
        put(format!("list_{values}_{size}"), lists(values, size));
    }
    for size in [1 << 20, 200 << 20] {
        for (name, codec, data) in [
            ("gzip", 2, super::parquet::gzip(size)),
            ("zstd", 6, super::parquet::zstd(size)),
            ("snappy", 1, super::parquet::snappy(size)),
        ] {
            put(format!("{name}_{size}"), one_column(codec, &[Page::data(size, data.clone(), 1, 0)], 1));
            put(format!("{name}_{size}_lies"), one_column(codec, &[Page::data(100, data, 1, 0)], 1));
        }
    }
    let text = [&4_u32.to_le_bytes()[..], b"text"].concat();
    for claimed in [i32::MAX, -1, 0, 7] {
        let mut page = Page::data(8, text.clone(), 1, 0);
        page.unpacked = i64::from(claimed);
        put(format!("unpacked_{claimed}"), one_column(0, &[page], 1));
        let mut page = Page::data(8, text.clone(), 1, 0);
        page.packed = i64::from(claimed);
        put(format!("packed_{claimed}"), one_column(0, &[page], 1));
        let pages = [Page::dictionary(text.clone(), claimed), Page::data(3, vec![1, 2, 0], 1, 8)];
        put(format!("dictionary_of_{claimed}"), one_column(0, &pages, 1));
        put(format!("values_{claimed}"), one_column(0, &[Page::data(8, text.clone(), claimed, 0)], 1));
        // Lengths of texts: 128 a block, one part, so many, the first 4.
        let mut lengths = vec![0x80, 1, 1];
        super::parquet::varint(claimed.cast_unsigned().into(), &mut lengths);
        lengths.push(8);
        for encoding in [6, 7] {
            put(
                format!("lengths_{claimed}_{encoding}"),
                one_column(0, &[Page::data(lengths.len(), lengths.clone(), 1, encoding)], 1),
            );
        }
    }
    put("text_again_and_again".into(), super::parquet::prefixes(1 << 20, 100_000));
    put("no_pages".into(), one_column(0, &[], 1_000));
    put(
        "column_of_nothing".into(),
        Column { pages: Vec::new(), codec: 0, values: 0, optional: true, repeated: false }.file(900_000),
    );
}

/// A good file of each kind, cut off or with bytes changed.
fn changed(all: &mut Vec<Hostile>) {
    let good = [
        (FileKind::Parquet, dictionary_bomb(50, 40)),
        (FileKind::Parquet, nulls(100)),
        (FileKind::Jsonl, "{\"prompt\":\"q\",\"response\":\"a\",\"n\":[1,2]}\n".repeat(20).into_bytes()),
        (FileKind::Csv, "prompt,response\n\"q, q\",a\n".repeat(20).into_bytes()),
    ];
    for (index, (kind, bytes)) in good.into_iter().enumerate() {
        for part in 1..8 {
            all.push((format!("cut_{index}_{part}"), kind, bytes[..bytes.len() * part / 8].to_vec()));
        }
        for seed in 0..20 {
            let mut changed = bytes.clone();
            for (at, to) in noise(seed + 1, 6).chunks_exact(2).map(|two| (two[0], two[1])) {
                let at = usize::from(at) * changed.len() / 256;
                changed[at] = to;
            }
            all.push((format!("changed_{index}_{seed}"), kind, changed));
        }
    }
}

/// Bytes without a pattern.
fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..count).map(|_| next()).collect()
}
