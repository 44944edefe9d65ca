//! The corpora of `tests/fixtures/secrets`: planted secrets, look-alikes, known values, growing texts; and properties.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use data_encoding::HEXLOWER;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::clock::processor_time;
use corpus::{Line as Case, percent_encoded};

#[path = "../../tests/stories/harness/corpus.rs"]
mod corpus;

impl Case {
    fn item(&self) -> String {
        item(self.str("where"), &self.text()).to_string()
    }
}

/// An item with a text in one of its fields.
fn item(place: &str, text: &str) -> Value {
    let tool = |name: &str, input: Value, output: &str, metadata: Value| {
        json!({"id": "prt_1", "messageID": "msg_1", "type": "tool", "tool": name, "state": {
            "status": "completed", "input": input, "output": output, "metadata": metadata,
            "time": {"start": 1, "end": 2}}})
    };
    let message = |field: &str, value: Value| json!({"id": "msg_1", "role": "user", field: value});
    let url = |mime: &str, body: &str| format!("data:{mime};base64,{body}");
    let file = |mime: &str, body: &str| json!({"type": "file", "mime": mime, "url": url(mime, body)});
    match place {
        "bash" => tool("bash", json!({"command": "run"}), text, json!({"output": text, "exit": 0})),
        "command" => tool("bash", json!({"command": text}), "ok", json!({"output": "ok"})),
        "read" => tool(
            "read",
            json!({"filePath": "/app/settings"}),
            &format!("<file>\n{text}</file>"),
            json!({"preview": text}),
        ),
        "edit" => tool(
            "edit",
            json!({"filePath": "/app/main.ts", "newString": text}),
            "",
            json!({"diff": format!("+{text}")}),
        ),
        "diff" => message("summary", json!({"diffs": [{"file": "settings", "patch": text}]})),
        "title" => message("summary", json!({"title": text})),
        "error" => message("error", json!({"name": "APIError", "data": {"message": text}})),
        "attachment" => file("text/plain", &STANDARD.encode(text)),
        "attachment-image" => file("image/png", text),
        _ => {
            json!({"id": "prt_1", "messageID": "msg_1", "type": "text", "text": text, "time": {"start": 1, "end": 2}})
        }
    }
}

/// Whether characters in a row of a secret stand in a text: plain, percent-encoded, or behind base64.
fn shows(text: &str, secret: &str, run: usize) -> bool {
    let pieces = |secret: &str| {
        let places: Vec<_> = secret.char_indices().map(|(at, _)| at).chain([secret.len()]).collect();
        let run = run.min(places.len() - 1);
        places.windows(run + 1).map(|piece| secret[piece[0]..piece[run]].to_owned()).collect::<Vec<_>>()
    };
    let plain = pieces(secret);
    let stands = |text: &str, pieces: &[String]| pieces.iter().any(|piece| text.contains(piece.as_str()));
    let is_run = |c: char| c.is_alphanumeric() || c == '+' || c == '/';
    let inside = text.split(|c| !is_run(c)).filter(|run| run.len() >= 24).any(|run| {
        checks::decoded(run.as_bytes())
            .is_some_and(|inside| stands(&String::from_utf8_lossy(&inside), &plain))
    });
    stands(text, &plain) || stands(text, &pieces(&percent_encoded(secret))) || inside
}

/// By level: building takes long without optimisation.
fn redactor(level: Level) -> &'static Redactor {
    static REDACTORS: [LazyLock<Redactor>; 3] = [
        LazyLock::new(|| of_level(Level::Shapes)),
        LazyLock::new(|| of_level(Level::Normal)),
        LazyLock::new(|| of_level(Level::Strict)),
    ];
    &REDACTORS[level as usize]
}

fn of_level(level: Level) -> Redactor {
    Redactor::new(Options { level, ..Options::default() }).unwrap()
}

/// Numbers values as a caller does, without its digests.
#[derive(Default)]
struct Numbers(HashMap<(String, String), u64>, HashMap<String, u64>);

impl Namer for Numbers {
    fn number(&mut self, kind: &str, value: &str) -> u64 {
        let next = self.1.entry(kind.to_owned()).or_default();
        *self.0.entry((kind.to_owned(), value.to_owned())).or_insert_with(|| {
            *next += 1;
            *next
        })
    }
}

fn redacted(redactor: &Redactor, json: &str) -> String {
    redactor.json(json, &Context::default(), &mut Numbers::default()).unwrap().content.get().to_owned()
}

/// All that an item says, its attachments as well.
fn said(json: &str) -> String {
    fn collect(value: &Value, said: &mut String) {
        match value {
            Value::String(text) => said.extend([text, "\n"]),
            Value::Array(values) => values.iter().for_each(|value| collect(value, said)),
            Value::Object(fields) => fields.values().for_each(|value| collect(value, said)),
            _ => {}
        }
    }
    let mut said = json.to_owned();
    collect(&serde_json::from_str(json).unwrap(), &mut said);
    said
}

/// Planted cases that are left, and the kinds of them.
fn left(level: Level) -> (Vec<String>, BTreeSet<String>) {
    let redactor = redactor(level);
    let cases = Case::all("planted");
    assert_eq!(cases.len(), 360);
    let left = cases
        .iter()
        .filter(|case| shows(&said(&redacted(redactor, &case.item())), &case.joined("sensitive"), 12));
    left.map(|case| (case.str("id").to_owned(), case.str("kind").to_owned())).unzip()
}

#[test]
fn every_planted_secret_goes() {
    assert_eq!(left(Level::Normal), (vec![], BTreeSet::new()));
}

#[test]
fn shapes_alone_find_what_has_a_shape() {
    let (left, kinds) = left(Level::Shapes);
    let shapeless = ["url-password", "password", "opaque-secret", "short-password"].map(str::to_owned);
    assert!(kinds.is_subset(&BTreeSet::from(shapeless)), "{kinds:?} {left:?}");
}

#[test]
fn look_alikes_keep_their_bytes() {
    for level in [Level::Shapes, Level::Normal] {
        let redactor = redactor(level);
        let changed = Case::all("negatives").into_iter().filter_map(|case| {
            let item = case.item();
            let redacted = redacted(redactor, &item);
            (redacted != item).then(|| format!("{}: {redacted}", case.str("id")))
        });
        assert_eq!(changed.collect::<Vec<_>>(), [""; 0]);
    }
}

#[test]
fn known_values_go_whole_and_cut() {
    let cases = Case::all("known");
    let known = cases.iter().map(|case| {
        let (name, value) = (case.str("name"), case.joined("secret"));
        Known::variable(name, &value).unwrap_or_else(|| panic!("{name} counts"))
    });
    let known = KnownValues::new(known);
    let redactor = redactor(Level::Normal);
    let context = Context { known: &[&known], ..Context::default() };
    let left = cases.iter().filter(|case| {
        let redacted = redactor.json(&case.item(), &context, &mut Numbers::default()).unwrap();
        assert!(!redacted.findings.is_empty(), "{}", case.str("id"));
        shows(&said(redacted.content.get()), &case.joined("sensitive"), 12)
    });
    assert_eq!(left.map(|case| case.str("id")).collect::<Vec<_>>(), [""; 0]);
}

/// Of each version of a streamed text: what is shown, as the text so far and its placeholders' values would be.
#[test]
fn no_version_of_a_text_shows_a_secret_that_is_being_written() {
    let redactor = redactor(Level::Normal);
    let cases = Case::all("streams");
    let steps = [1, 7, 64];
    for (step, case) in steps.into_iter().flat_map(|step| cases.iter().map(move |case| (step, case))) {
        let (text, secret) = (case.text(), case.joined("sensitive"));
        let mut names = Numbers::default();
        let mut before = String::new();
        for growing in [Growing::Grows, Growing::Pauses] {
            // One character a step is the dearest: of a pause the others tell enough.
            if step == 1 && growing == Growing::Pauses {
                continue;
            }
            let ends =
                (1..text.len()).step_by(step).filter(|end| text.is_char_boundary(*end)).chain([text.len()]);
            for end in ends {
                let mut part = item("text", &text[..end]);
                let done = end == text.len();
                if !done {
                    part["time"] = json!({"start": 1});
                }
                let context = Context { growing, ..Context::default() };
                let redacted = redactor.json(&part.to_string(), &context, &mut names).unwrap();
                let shown: Value = serde_json::from_str(redacted.content.get()).unwrap();
                let shown = shown["text"].as_str().unwrap();
                assert!(!shows(shown, &secret, 9), "{} by {step}: {shown}", case.str("id"));
                assert!(!done || redacted.held == 0, "{}", case.str("id"));
                if growing == Growing::Grows {
                    assert!(shown.starts_with(&before), "{} by {step}: {before} | {shown}", case.str("id"));
                    shown.clone_into(&mut before);
                }
            }
        }
    }
}

#[test]
fn tools_that_run_hold_their_last_word() {
    let redactor = redactor(Level::Normal);
    let context = Context { growing: Growing::Grows, ..Context::default() };
    let shown = |json: Value| {
        let redacted = redactor.json(&json.to_string(), &context, &mut Numbers::default()).unwrap();
        serde_json::from_str::<Value>(redacted.content.get()).unwrap()["state"].clone()
    };
    let running = shown(json!({"type": "tool", "state": {
        "status": "running", "title": "make all", "input": {"command": "make all", "raw": "make al"},
        "metadata": {"output": "one tw", "sessionId": "ses_2"}}}));
    assert_eq!(
        running,
        json!({"status": "running", "title": "make all", "input": {"command": "make all", "raw": "make "},
        "metadata": {"output": "one ", "sessionId": "ses_2"}})
    );
    let pending =
        shown(json!({"type": "tool", "state": {"status": "pending", "input": {"command": "make al"}}}));
    assert_eq!(pending["input"]["command"], "make ");
    let done = json!({"status": "completed", "output": "one tw"});
    assert_eq!(shown(json!({"type": "tool", "state": done.clone()})), done);
}

#[test]
fn a_value_has_one_name_wherever_it_stands() {
    let redactor = redactor(Level::Normal);
    let token = ["gh", "p_UQ4b1LHHyBLMS6Ckuy83s7XffZPIKF20z4iO"].concat();
    let text =
        format!("a {token} b {} {}", token.replace('_', "%5F"), STANDARD.encode(format!("token {token}")));
    let (redacted, findings) = redactor.text(&text, &Context::default(), &mut Numbers::default());
    let name = "[redacted:github-token-1]";
    assert_eq!(redacted, format!("a {name} b {name} {name}"));
    let [finding] = &findings[..] else { panic!("{findings:?}") };
    assert_eq!((&*finding.kind, finding.number, finding.count, finding.sure), ("github-token", 1, 3, true));
}

#[test]
fn places_are_told_and_values_never() {
    let redactor = redactor(Level::Normal);
    let token = ["gh", "p_UQ4b1LHHyBLMS6Ckuy83s7XffZPIKF20z4iO"].concat();
    let item = json!({"state": {"input": {&token: {"a": token}}, "output": [token]}, "id": token});
    let redacted = redactor.json(&item.to_string(), &Context::default(), &mut Numbers::default()).unwrap();
    let places: Vec<_> = redacted.findings.iter().map(|finding| &*finding.place).collect();
    assert_eq!(places, ["state/input", "state/input/*/a", "state/output"]);
    assert!(!format!("{:?}", redacted.findings).contains("UQ4b1"));
    assert!(
        redacted.content.get().ends_with(&format!("\"{token}\"}}"))
            || redacted.content.get().contains(&token)
    );
}

#[test]
fn what_has_no_finding_keeps_its_bytes() {
    let redactor = &Redactor::new(Options { home: Some("/home/ada".into()), ..Options::default() }).unwrap();
    let plain = r#" {"id":"p", "n":1.50,"e":1e3,"text":"\ud83d \u0041\/b","text":"twice" ,"x":[null,{}]} "#;
    let content: Content = RawValue::from_string(plain.trim().to_owned()).map(Arc::from).unwrap();
    let same = redactor.item(&content, &Context::default(), &mut Numbers::default()).unwrap();
    assert!(Arc::ptr_eq(&same.content, &content) && same.findings.is_empty());
    let token = ["gl", "pat-x7Gh29fKq1LmZp04Rt8s"].concat();
    let one = format!(r#"{{"n":1.50,"text":"\ud83d {token} \u0041\/b /home/ada/x","n":1e3}}"#);
    assert_eq!(
        redacted(redactor, &one),
        r#"{"n":1.50,"text":"\ud83d [redacted:gitlab-token-1] \u0041\/b ~/x","n":1e3}"#
    );
}

#[test]
fn signatures_of_thoughts_are_dropped() {
    let redactor = redactor(Level::Shapes);
    for (json, expected) in [
        (
            r#"{"type":"reasoning","text":"hm", "metadata":{"a":{"signature":"x"}} }"#,
            r#"{"type":"reasoning","text":"hm" }"#,
        ),
        (
            r#"{"metadata":1, "signature":[2],"type":"reasoning","n":1.50}"#,
            r#"{"type":"reasoning","n":1.50}"#,
        ),
        (r#"[{"a":1,"signature":2,"type":"thinking","metadata":3}]"#, r#"[{"a":1,"type":"thinking"}]"#),
        (r#"{"type":"tool","metadata":{"a":1}}"#, r#"{"type":"tool","metadata":{"a":1}}"#),
        (r#"{"type":"reasoning","metadata":{"type":"reasoning","metadata":1}}"#, r#"{"type":"reasoning"}"#),
    ] {
        assert_eq!(redacted(redactor, json), expected);
    }
}

#[test]
fn of_secret_files_and_dumps_each_value_goes() {
    let redactor = redactor(Level::Normal);
    let tool = |input: Value, output: &str| {
        json!({"type": "tool", "state": {"input": input, "output": output}}).to_string()
    };
    let output = |json: &str| {
        serde_json::from_str::<Value>(&redacted(redactor, json)).unwrap()["state"]["output"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        output(&tool(
            json!({"filePath": "/app/.env"}),
            "<file>\n00001| NAME=plain word\n00002| # no\n</file>"
        )),
        "<file>\n00001| NAME=[redacted:env-name-1]\n00002| # no\n</file>"
    );
    assert_eq!(output(&tool(json!({"command": "cd /app; env"}), "LANG=C\n")), "LANG=[redacted:env-lang-1]\n");
    assert_eq!(output(&tool(json!({"command": "make"}), "LANG=C\n")), "LANG=C\n");
    assert_eq!(output(&tool(json!({"filePath": "/app/.env.example"}), "LANG=C\n")), "LANG=C\n");
    let odd_name = "q7Gh29fKq1LmZp04Rt8sW3yB6nVcXjD5";
    let odd = output(&tool(json!({"command": "env"}), &format!("{odd_name}=a\n")));
    assert_eq!(odd, format!("{odd_name}=[redacted:env-value-1]\n"));
    let diff = json!({"diffs": [{"file": ".env", "patch": "+A=b\n"}, {"file": "a.txt", "patch": "+A=b\n"}]})
        .to_string();
    assert!(
        redacted(redactor, &diff).contains(r#""+A=[redacted:env-a-1]\n"}"#)
            && redacted(redactor, &diff).contains("+A=b")
    );
}

#[test]
fn fields_name_their_values() {
    let redactor = redactor(Level::Normal);
    let json = concat!(
        r#"{"headers":{"Authorization":"Bearer a1b2c3d4e5"},"env":{"DB_PASSWORD":"s3cr3t-pw"},"#,
        r#""tokens":17,"token":"next"}"#
    );
    assert_eq!(
        redacted(redactor, json),
        concat!(
            r#"{"headers":{"Authorization":"Bearer [redacted:auth-header-1]"},"#,
            r#""env":{"DB_PASSWORD":"[redacted:env-value-1]"},"tokens":17,"token":"next"}"#
        )
    );
}

/// `*` stands for a value of no shape.
#[test]
fn names_beside_a_value_say_that_it_is_secret() {
    let value = "q7Gh29fKq1LmZp04Rt8sW3yB6nVcXjD5";
    let redactor = redactor(Level::Normal);
    for (text, kind) in [
        ("the numverify SECRET is numverify SECRET *", "vendor-key"),
        ("CircleCI api key: *", "vendor-key"),
        ("cliengo-token-*\n", "vendor-key"),
        ("os.environ.get('DJANGO_SECRET_KEY', '*')", "assigned-value"),
        ("if password == \"*\" {", "assigned-value"),
        ("curl https://example.org \\\n  -u ada:*", "curl-user"),
        ("new NetworkCredential(\"ada\", \"*\")", "net-credential"),
        ("<add key=\"MailPassword\" value=\"*\"/>", "config-value"),
        ("Endpoint=https://a.azconfig.io;Id=a;Secret=*", "connection-string"),
        ("Connect-VIServer -Password *", "cli-password"),
        ("postgres://ada:*@db/app", "url-password"),
    ] {
        let expected = text.replace('*', &format!("[redacted:{kind}-1]"));
        let (redacted, _) =
            redactor.text(&text.replace('*', value), &Context::default(), &mut Numbers::default());
        assert_eq!(redacted, expected);
    }
    for (text, kind) in [
        ("password: 'marmot204816'", "assigned-password"),
        (
            "root:$6$5URYX45j$HmPvd00jnqO850AzOQQ2l.ZkAFezmkyGKNGupcIDCEhbMJrQ5tJ3uvZpq2SCogy3wwkoLaOZ6gvp6Qbjnl\
             QGkM:19000",
            "password-hash",
        ),
        ("Unseal Key 2: fdyCbudrNq1JnXmBEzCmMqXrk5+awyNZmLAUMsmaJhX4\n", "vault-unseal-key"),
        ("postgres://ada:7vRq@m2Xw@db/app", "url-password"),
    ] {
        let (redacted, found) = redactor.text(text, &Context::default(), &mut Numbers::default());
        assert_eq!(
            (found.len(), redacted.matches(&format!("[redacted:{kind}-1]")).count()),
            (1, 1),
            "{redacted}"
        );
    }
    for plain in [
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n",
        "pub const VK_PAD_LSHOULDER: XINPUT_VIRTUAL_KEY = 22533u16;",
        "WBEM_E_CANNOT_BE_KEY = 0x8004101f,",
        "const BARE_KEY = /[A-Za-z0-9_-]+/;",
        "const ATTR_AWS_S3_KEY = \"aws.s3.key\";",
        "kube-system sentry-auth-6d4cf56db6-x7k2p 1/1 Running",
        "4e61b70f59cc3ea71d37428e585b76e4  recaptcha_keys.1.gz\n12005ae909933640fe6604fd305f0c3c  b",
        "Depends: php-horde-secret 3.0.0~alpha1",
        "machine api.example.org login \"LOGIN\" password \"PASSWORD\"",
        &format!("AAB+EAA{}/AAB", "q7Gh29fKq1LmZp04Rt8sW3yB6nVcXjD5".repeat(4)),
    ] {
        assert_eq!(redactor.text(plain, &Context::default(), &mut Numbers::default()).0, plain);
    }
}

#[test]
fn the_owner_adds_rules_and_lets_values_through() {
    let token = ["gh", "p_UQ4b1LHHyBLMS6Ckuy83s7XffZPIKF20z4iO"].concat();
    let rule = |id: &str, keyword: &str, regex: &str, group| OwnRule {
        id: id.into(),
        keywords: vec![keyword.into()],
        regex: regex.into(),
        group,
    };
    let options =
        |allow: &str, rule| Options { allow: vec![allow.into()], rules: vec![rule], ..Options::default() };
    let acme = rule("acme-token", "acme_", "acme_[a-z0-9]{8}", 0);
    let digest = HEXLOWER.encode(&Sha256::digest(token.as_bytes()));
    for allow in [&token, &format!("sha256:{digest}")] {
        let redactor = Redactor::new(options(allow, acme.clone())).unwrap();
        let (text, _) =
            redactor.text(&format!("{token} (acme_a1b2c3d4)"), &Context::default(), &mut Numbers::default());
        assert_eq!(text, format!("{token} ([redacted:acme-token-1])"));
    }
    for (bad, reason) in [
        (rule("acme", "ac", "ac", 0), "`acme`: it needs keywords of at least 3 characters"),
        (rule("acme", "acme", "acme(", 0), "`acme`: regex"),
        (rule("acme", "acme", "acme", 1), "`acme`: its regex has no group 1"),
        (rule("acme", "acme", "(?:acme){1000}{1000}", 0), "`acme`: "),
        (rule("acme", "acme", "x*", 0), "`acme`: its regex matches an empty text"),
        (rule("Acme!", "acme", "acme", 0), "`Acme!`: its id"),
    ] {
        let error = Redactor::new(options("", bad)).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
    assert!(Redactor::new(Options { allow: vec!["sha256:12".into()], ..Options::default() }).is_err());
}

#[test]
fn options_add_what_is_sought() {
    let mails = Redactor::new(Options { emails: true, ..Options::default() }).unwrap();
    assert_eq!(
        mails.text("to ada@example.org.", &Context::default(), &mut |_: &str, _: &str| 1).0,
        "to [redacted:email-1]."
    );
    let random = "the q7Gh29fKq1LmZp04Rt8sW3yB6nVcXjD5 word";
    let found = |level| redactor(level).text(random, &Context::default(), &mut |_: &str, _: &str| 1).0;
    assert_eq!(
        (found(Level::Normal), found(Level::Strict)),
        (random.into(), "the [redacted:random-1] word".into())
    );
}

#[test]
fn what_cannot_be_looked_at_is_refused() {
    let redactor = redactor(Level::Normal);
    let refused = |json: &str| redactor.json(json, &Context::default(), &mut Numbers::default()).unwrap_err();
    assert_eq!(refused("{\"a\":"), Refused::NotJson);
    assert_eq!(refused(&format!("{}1{}", "[".repeat(200), "]".repeat(200))), Refused::TooDeep);
}

/// What makes a scanner of this kind slow: keywords without end, heads without ends, runs in each other.
#[test]
fn no_text_costs_more_than_its_length() {
    let redactor = redactor(Level::Normal);
    for piece in [
        "token=",
        "KEY=KEY",
        "-eyJ",
        "://:",
        "-----BEGIN PRIVATE KEY-----\n",
        "sig=",
        "/IQoJb3JpZ2lu",
        "\\u0041",
        "%41",
        "\u{1b}[1m",
        "curl ",
        "Private-Lines: 9\n",
        "[redacted:a-1]",
        "AKIA",
        "a@b.c ",
        "password: ",
    ] {
        let took = |bytes: usize| {
            let text = piece.repeat(bytes / piece.len());
            let runs = (0..3).map(|_| {
                let begun = processor_time();
                redactor.text(&text, &Context::default(), &mut |_: &str, _: &str| 1);
                processor_time().saturating_sub(begun)
            });
            runs.min().unwrap_or_default()
        };
        let (small, large) = (took(10_000), took(80_000));
        // Eight times as much, and noise: squares would be 64.
        assert!(large < small * 30 + Duration::from_millis(20), "{piece}: {small:?} {large:?}");
    }
}

/// Strings that rules and escapes take notice of.
fn odd_text() -> impl Strategy<Value = String> {
    let token = || ["gh", "p_UQ4b1LHHyBLMS6Ckuy83s7XffZPIKF20z4iO"].concat();
    let piece = prop_oneof![
        Just(token()),
        Just(STANDARD.encode(token())),
        Just("-----BEGIN PRIVATE KEY-----\n".to_owned()),
        Just("MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n".repeat(2)),
        Just("-----END PRIVATE KEY-----".to_owned()),
        Just("postgres://a:s3cr3t@h/".to_owned()),
        Just("DB_PASSWORD=".to_owned()),
        Just("api_key: \"".to_owned()),
        Just("/home/ada".to_owned()),
        Just("tumbling-otter-42-kettle".to_owned()),
        "[ \n\"'\\\\=:a-c0-9%@\u{e9}\u{1b}-]{1,6}",
        "\\\\(n|u001b|\"|\\\\)",
        "%[2-7][0-9a-f]",
        "\u{1b}\\[3[0-9]m",
        "[A-Za-z0-9+/]{20,40}",
        "\\[redacted:[a-z]{1,4}-[0-9]\\]",
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

static EVERYTHING: LazyLock<(Redactor, KnownValues)> = LazyLock::new(|| {
    let options = Options { home: Some("/home/ada".into()), emails: true, ..Options::default() };
    let known = [Known::secret("env-phrase", "tumbling-otter-42-kettle").unwrap()];
    (Redactor::new(options).unwrap(), KnownValues::new(known))
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn redacting_twice_changes_nothing(text in odd_text(), field in odd_text()) {
        let (redactor, known) = &*EVERYTHING;
        let context = Context { known: &[known], ..Context::default() };
        let call = json!({"input": {"command": "env"}, "output": text});
        let json = json!({"type": "tool", field: call, "text": text}).to_string();
        let mut names = Numbers::default();
        let once = redactor.json(&json, &context, &mut names).unwrap();
        let twice = redactor.json(once.content.get(), &context, &mut names).unwrap();
        prop_assert_eq!(once.content.get(), twice.content.get());
        prop_assert_eq!(twice.findings, []);
    }

    #[test]
    fn a_growing_text_stays_as_it_began(text in odd_text(), cut in 0.0..1.0) {
        let (redactor, known) = &*EVERYTHING;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let mut cut = (text.len() as f64 * cut) as usize;
        while !text.is_char_boundary(cut) {
            cut -= 1;
        }
        let context = Context { known: &[known], growing: Growing::Grows };
        let shown = |text: &str| {
            let part = json!({"type": "text", "text": text, "time": {"start": 1}}).to_string();
            let redacted = redactor.json(&part, &context, &mut |_: &str, _: &str| 1).unwrap();
            serde_json::from_str::<Value>(redacted.content.get()).unwrap()["text"].as_str().unwrap().to_owned()
        };
        let (before, after) = (shown(&text[..cut]), shown(&text));
        prop_assert!(after.starts_with(&before), "{before:?} {after:?}");
        prop_assert!(!shows(&after, "tumbling-otter-42-kettle", 12));
    }

    #[test]
    fn any_json_survives(text: String, name: String, units: Vec<u16>, number: f64) {
        let (redactor, _) = &*EVERYTHING;
        let odd: Vec<_> = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
        let odd = odd.concat();
        let (text, name) = (Value::from(text), Value::from(name));
        let json = format!(r#" {{{name}:"{odd}",{name}:[{text},{number:?}, {{"a":{{}},"type":{text}}}],"x":"{odd}"}}"#);
        prop_assume!(serde_json::from_str::<&RawValue>(&json).is_ok());
        for growing in [Growing::Done, Growing::Grows, Growing::Pauses] {
            let context = Context { growing, ..Context::default() };
            let redacted = redactor.json(&json, &context, &mut Numbers::default()).unwrap();
            if redacted.findings.is_empty() && !json.contains("/home/ada") {
                prop_assert_eq!(redacted.content.get(), json.trim());
            }
        }
    }
}

#[test]
fn no_rule_matches_a_placeholder() {
    let redactor = redactor(Level::Strict);
    let kinds: Vec<_> = redactor.rules.table.iter().map(|rule| rule.id.clone()).collect();
    assert!(kinds.len() > 117);
    for kind in kinds {
        let name = format!("[redacted:{kind}-12]");
        for text in [
            name.clone(),
            format!("API_KEY={name}"),
            format!("\"password\": \"{name}\""),
            format!("postgres://a:{name}@h/"),
            format!("Authorization: Bearer {name}\n"),
            format!("?token={name}&a=b"),
            format!("x_token: {name}\n"),
        ] {
            assert_eq!(redactor.text(&text, &Context::default(), &mut Numbers::default()).0, text);
        }
    }
}
