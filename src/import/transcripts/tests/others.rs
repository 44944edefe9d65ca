//! pi's transcripts and Qwen Code's.

use super::*;

#[test]
fn pi() {
    let name = "pi-0.73.1/2026-11-25T03-30-56-212Z_01a210c1-a653-7529-a413-990df420d324.jsonl";
    let (held, transcript) = whole(Agent::Pi, name, "01a210c1-a653-7529-a413-990df420d324");
    let about = transcript.about();
    assert_eq!(
        held.summary(&about.session),
        "1 + 8 | 4 1 1 0 | bash 2 edit 1 grep 1 read 3 write 1 | completed 5 error 3 | "
    );
    assert_eq!(held.texts(&about.session)[0], "Write the fizz program.");
    let state = &held.call("call_00006401")["state"];
    assert_eq!((&state["output"], &state["metadata"]["exit"]), (&"oh".into(), &3.into()));
    assert_eq!(held.call("call_00006600")["state"]["attachments"][0]["mime"], "image/png");
    assert!(about.unknown.is_empty() && about.state == State::Idle, "{about:?}");
    assert!(about.cost.is_some_and(|cost| (cost - 0.00072).abs() < 1e-9), "{:?}", about.cost);
}

#[test]
fn qwen() {
    let line = |uuid: u8, parent: u8, kind: &str, more: &str| {
        let time = format!("2026-03-01T10:00:{uuid:02}.000Z");
        format!(
            r#"{{"uuid":"{uuid}","parentUuid":"{parent}","sessionId":"q","timestamp":"{time}","type":"{kind}",{more}}}"#
        )
    };
    let says =
        |text: &str| format!(r#""cwd":"/w","message":{{"role":"user","parts":[{{"text":"{text}"}}]}}"#);
    let failure = |turn: &str, text: &str| {
        format!(
            r#""subtype":"ui_telemetry","systemPayload":{{"uiEvent":{{"event.name":"qwen-code.api_error",
            "prompt_id":"{turn}","error_message":"{text}","status_code":503,"model":"SECRET"}}}}"#
        )
    };
    let runs = |id: &str, command: &str| {
        format!(
            r#""message":{{"role":"model","parts":[{{"functionCall":{{"id":"{id}","name":"run_shell_command",
            "args":{{"command":"{command}"}}}}}}]}}"#
        )
    };
    let ran = |id: &str, ended: &str| {
        format!(
            r#""message":{{"role":"user","parts":[{{"functionResponse":{{"id":"{id}","name":"run_shell_command",
            "response":{{"error":"Command: for the model alone"}}}}}}]}},"toolCallResult":{{"callId":"{id}",
            "status":"error","resultDisplay":{{"type":"shell_result",{ended},"output":"going"}}}}"#
        )
    };
    let lines = [
        line(1, 0, "user", &says("Run it")),
        line(
            2,
            1,
            "assistant",
            r#""model":"qwen3","message":{"role":"model","parts":[{"text":"Hm","thought":true},{"text":"I run."},
            {"functionCall":{"id":"c1","name":"run_shell_command","args":{"command":"false"}}}]},
            "usageMetadata":{"promptTokenCount":10,"cachedContentTokenCount":4,"candidatesTokenCount":3}"#,
        ),
        line(
            3,
            2,
            "tool_result",
            r#""message":{"role":"user","parts":[{"functionResponse":{"id":"c1","name":"run_shell_command",
            "response":{"output":"Output: (empty)\nExit Code: 1"}}}]},
            "toolCallResult":{"callId":"c1","status":"success","resultDisplay":"x"}"#,
        ),
        line(4, 3, "system", r#""subtype":"ui_telemetry","systemPayload":"SECRET""#),
        line(5, 4, "user", &says("left")),
        line(6, 4, "user", &says("taken")),
        line(7, 6, "system", &failure("q########2", "it is out of order")),
        line(8, 7, "system", &failure("q########2", "it is out of order again")),
        line(9, 8, "assistant", r#""message":{"role":"model","parts":[{"text":"Now it works."}]}"#),
        line(10, 9, "user", &says("once more")),
        line(11, 10, "system", &failure("SECRET of a title", "it is no turn's")),
        line(12, 11, "assistant", &runs("c2", "echo going; exit 3")),
        line(13, 12, "tool_result", &ran("c2", r#""exitCode":3,"signal":null"#)),
        line(14, 13, "assistant", &runs("c3", "kill -9 $$")),
        line(15, 14, "tool_result", &ran("c3", r#""exitCode":null,"signal":9"#)),
        line(16, 15, "system", &failure("q########3", "it is gone")),
    ];
    let lines = lines.map(|line| line.replace('\n', ""));
    let file = lines.join("\n") + "\n";
    let from = source("q", None);
    check_pieces(Agent::QwenCode, &from, file.as_bytes());
    let (held, transcript) = read(Agent::QwenCode, &from, file.as_bytes());
    check(&held, "qw_q");
    assert_eq!(held.summary("qw_q"), "3 + 5 | 5 1 0 0 | bash 3 | completed 3 | APIError 1");
    assert_eq!(held.texts("qw_q"), ["Run it", "I run.", "taken", "Now it works.", "once more"]);
    assert!(held.0.values().any(|item| item.contains("it is gone")));
    for (call, exit) in [("c2", 3), ("c3", 137)] {
        let state = &held.call(call)["state"];
        assert_eq!((&state["output"], &state["metadata"]["exit"]), (&"going".into(), &exit.into()));
    }
    assert_eq!(held.call("c1")["state"]["metadata"]["exit"], 1);
    assert_eq!(transcript.about().directory.as_deref(), Some("/w"));
}
