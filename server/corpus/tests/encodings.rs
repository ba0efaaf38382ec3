//! Files in the encodings of the world: read right, or asked about; never read as something else without a word.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Read;
use std::path::PathBuf;

use contract::Code;
use contract::dataset::FileKind;
use corpus::inspect::{inspect, row};
use corpus::source::utf8_of;
use encoding_rs::{
    BIG5, EUC_JP, EUC_KR, Encoding, GB18030, IBM866, ISO_2022_JP, KOI8_R, KOI8_U, SHIFT_JIS, WINDOWS_1250,
    WINDOWS_1251, WINDOWS_1252, WINDOWS_1253,
};

const CHINESE: [&str; 4] = [
    "问题,回答",
    "今天天气怎么样?,今天天气很好，适合出门散步。",
    "运费是多少?,满五百元免运费，偏远地区除外。",
    "请介绍一下北京的历史,北京是中华人民共和国的首都，有三千多年的建城史和八百多年的建都史。",
];
const TAIWANESE: [&str; 4] = [
    "問題,回答",
    "今天天氣怎麼樣?,今天天氣很好，適合出門散步。",
    "運費是多少?,滿五百元免運費，偏遠地區除外。",
    "請介紹一下臺北的歷史,臺北位於臺灣北部的盆地，是全國的政治文化中心。",
];
const JAPANESE: [&str; 4] = [
    "質問,回答",
    "送料はいくらですか?,五千円以上のご注文は送料無料です。",
    "営業時間を教えてください。,平日は午前九時から午後六時まで営業しております。",
    "コーヒーは好きですか?,はい、毎朝コーヒーを飲みます。",
];
const KOREAN: [&str; 4] = [
    "질문,답변",
    "배송비는 얼마인가요?,오만원 이상 주문하시면 무료입니다.",
    "영업 시간을 알려 주세요.,평일 오전 아홉 시부터 오후 여섯 시까지 영업합니다.",
    "커피를 좋아하세요?,네. 매일 아침 커피를 마십니다.",
];
const RUSSIAN: [&str; 3] = [
    "вопрос,ответ",
    "Сколько стоит доставка?,Доставка бесплатна при заказе от пяти тысяч рублей.",
    "Когда вы работаете?,Мы работаем с девяти утра до шести вечера.",
];
const UKRAINIAN: [&str; 3] = [
    "питання,відповідь",
    "Скільки коштує доставка?,Доставка безкоштовна понад тисячу гривень.",
    "Коли ви працюєте?,Ми працюємо щодня крім неділі з дев'ятої ранку.",
];
const GERMAN: [&str; 3] = [
    "frage,antwort",
    "Was kostet die Lieferung?,Ab fünfzig Euro ist sie kostenlos – auch für Österreich.",
    "Haben Sie geöffnet?,Nein; sonntags schließen wir. Schöne Grüße!",
];
const ENGLISH: [&str; 2] = ["question,answer", "It’s “fine” – isn’t it?,Yes… it’s fine."];
const POLISH: [&str; 3] = [
    "pytanie,odpowiedź",
    "Ile kosztuje dostawa?,Dostawa jest bezpłatna przy zamówieniach powyżej stu złotych.",
    "Czy jesteście otwarci w niedzielę?,Nie. W niedzielę odpoczywamy. Zapraszamy w poniedziałek.",
];
const GREEK: [&str; 2] =
    ["ερώτηση,απάντηση", "Πόσο κοστίζει η αποστολή;,Είναι δωρεάν για παραγγελίες άνω των πενήντα ευρώ."];

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

fn encoded(text: &str, table: &'static Encoding) -> Vec<u8> {
    let (bytes, _, lost) = table.encode(text);
    assert!(!lost, "{} cannot write {text}", table.name());
    bytes.into_owned()
}

/// A table as JSON Lines with columns of ASCII.
fn lines(table: &[&str]) -> String {
    let line = |row: &&str| {
        let (question, answer) = row.split_once(',').unwrap();
        format!("{}\n", serde_json::json!({ "prompt": question, "response": answer }))
    };
    table[1..].iter().map(line).collect()
}

#[test]
fn long_texts_of_each_encoding_are_read_without_asking() {
    let folder = Folder::new();
    let all: [(&[&str], &'static Encoding); 16] = [
        (&CHINESE, GB18030),
        (&TAIWANESE, BIG5),
        (&JAPANESE, EUC_JP),
        (&JAPANESE, SHIFT_JIS),
        (&JAPANESE, ISO_2022_JP),
        (&KOREAN, EUC_KR),
        (&RUSSIAN, WINDOWS_1251),
        (&RUSSIAN, KOI8_R),
        (&RUSSIAN, IBM866),
        (&UKRAINIAN, WINDOWS_1251),
        (&UKRAINIAN, KOI8_U),
        (&GERMAN, WINDOWS_1252),
        (&ENGLISH, WINDOWS_1252),
        (&POLISH, WINDOWS_1250),
        (&GREEK, WINDOWS_1253),
        (&CHINESE, encoding_rs::GBK),
    ];
    for (table, encoding) in all {
        for (kind, text) in [
            (FileKind::Csv, table.join("\n")),
            (FileKind::Jsonl, lines(table)),
            (FileKind::Txt, table.join("\n")),
        ] {
            let path = folder.write("a", &encoded(&text, encoding));
            let found =
                inspect(&path, kind, None).unwrap_or_else(|problem| panic!("{}: {problem}", encoding.name()));
            let name = if encoding.name() == "GBK" || encoding.name() == "gb18030" {
                "GB18030"
            } else {
                encoding.name()
            };
            assert_eq!(found.encoding, name, "{text}");
            let utf8 = folder.write("b", text.as_bytes());
            for number in 1..=found.rows {
                assert_eq!(row(&path, kind, number).unwrap(), row(&utf8, kind, number).unwrap(), "{name}");
            }
        }
    }
}

/// Latin encodings share most letters; enough of them, and the detector knows which language it is.
#[test]
fn french_and_turkish_are_told_from_czech_once_they_are_long() {
    let folder = Folder::new();
    let french =
        "Êtes-vous fermés à Noël ? La forêt est très agréable l'été, près du château déjà célèbre.\n";
    let turkish = "Kargo ücreti ne kadar? Teşekkürler, iyi günler, görüşürüz, çok güzel, değil, şimdi, öğle yemeği, ağaç.\n";
    for (text, encoding) in [(french, WINDOWS_1252), (turkish, encoding_rs::WINDOWS_1254)] {
        let text = text.repeat(30);
        let path = folder.write("a.txt", &encoded(&text, encoding));
        assert_eq!(inspect(&path, FileKind::Txt, None).unwrap().encoding, encoding.name());
    }
}

#[test]
fn utf16_without_a_mark_is_read() {
    let folder = Folder::new();
    for text in ["prompt,response\n水,火\n今天,天气\n", "prompt,response\nq,a\n"] {
        let units: Vec<u16> = text.encode_utf16().collect();
        let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        for (bytes, name) in [(little, "UTF-16LE"), (big, "UTF-16BE")] {
            let found = inspect(&folder.write("a.csv", &bytes), FileKind::Csv, None).unwrap();
            assert_eq!((found.encoding.as_str(), found.columns.len()), (name, 2), "{text}");
        }
    }
}

/// What spreadsheets call Unicode text, and their tables of other regions.
#[test]
fn tables_of_spreadsheets_are_read_whatever_their_encoding() {
    let folder = Folder::new();
    let tabs: Vec<u8> = "\u{FEFF}prompt\tresponse\r\n水\t\"火, \"\"土\"\"\"\r\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let semicolons = encoded("prompt;response\r\nWie viel?;1,5 für Österreich\r\n", WINDOWS_1252);
    let declared = encoded(
        "sep=;\r\nprompt;response\r\n배송비는 얼마인가요?;\"오만원 이상; 무료입니다.\"\r\n커피를 좋아하세요?;네. 매일 아침 커피를 마십니다.",
        EUC_KR,
    );
    for (name, bytes, answer) in [
        ("a.tsv", tabs, "火, \"土\""),
        ("b.csv", semicolons, "1,5 für Österreich"),
        ("c.tab", declared, "오만원 이상; 무료입니다."),
    ] {
        let path = folder.write(name, &bytes);
        let kind = FileKind::of_name(name).unwrap();
        assert_eq!(inspect(&path, kind, None).unwrap().columns, ["prompt", "response"], "{name}");
        assert_eq!(row(&path, kind, 1).unwrap().get("response").and_then(|cell| cell.as_str()), Some(answer));
    }
}

#[test]
fn short_texts_are_asked_about_and_the_right_reading_is_among_those_offered() {
    let folder = Folder::new();
    let all: [(&str, &'static Encoding); 7] = [
        ("질문,답변\n네?,예.\n", EUC_KR),
        ("{\"prompt\":\"네?\",\"response\":\"예.\"}\n", EUC_KR),
        ("question,answer\n送料?,無料。\n", EUC_JP),
        ("问题,回答\n水,火\n", GB18030),
        ("prompt,response\ncafé,naïve\n", WINDOWS_1252),
        ("pytanie,odpowiedź\nŁódź?,Świętość.\n", WINDOWS_1250),
        ("да,нет\nты,я\n", WINDOWS_1251),
    ];
    for (text, encoding) in all {
        let kind = if text.starts_with('{') { FileKind::Jsonl } else { FileKind::Csv };
        let path = folder.write("a", &encoded(text, encoding));
        let right = row(&folder.write("b", text.as_bytes()), kind, 1).unwrap();
        let problem = match inspect(&path, kind, None) {
            Ok(_) => {
                assert_eq!(row(&path, kind, 1).unwrap(), right, "{text}");
                continue;
            }
            Err(problem) => problem,
        };
        assert_eq!(problem.code, Code::DatasetEncodingUnsure, "{text}");
        let readings = problem.readings();
        assert!(readings.len() > 1);
        let name = if encoding == GB18030 { "GB18030" } else { encoding.name() };
        let found = readings.iter().find(|reading| reading.name == name).unwrap();
        let cells: Vec<&str> = right.cells.iter().filter_map(|(_, value)| value.as_str()).collect();
        assert_eq!(found.rows[0], cells);
        assert!(found.columns.iter().eq(right.cells.iter().map(|(name, _)| name)));

        let (mut stream, _) = utf8_of(&path, kind, name).unwrap();
        let mut chosen = String::new();
        stream.read_to_string(&mut chosen).unwrap();
        assert_eq!(chosen, text, "the choice is read as it was written");
    }
}

#[test]
fn a_choice_that_does_not_fit_is_refused_with_its_place() {
    let folder = Folder::new();
    let mut bytes = encoded(&KOREAN.join("\n"), EUC_KR);
    // The first byte of a character of the first row.
    let at = 14;
    bytes[at] = 0xFF;
    let path = folder.write("a.csv", &bytes);
    let refused = |name: &str| utf8_of(&path, FileKind::Csv, name).err().unwrap();
    let problem = refused("EUC-KR");
    let place = problem.place.clone().unwrap_or_default();
    assert_eq!((problem.code, place.row, place.byte), (Code::DatasetNotUtf8, Some(1), Some(at as u64)));
    assert_eq!(refused("utf-8").code, Code::DatasetNotUtf8);
    assert_eq!(refused("moon").code, Code::DatasetEncodingUnknown);
}
