//! Whatever others have named their files, columns and keys: it steers no terminal and forges no line.

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt};

use super::world::{Ran, World, small};

/// Clears the screen, rings, turns the direction of writing, and begins lines of its own.
const HOSTILE: &str = "\u{1b}[2J\u{7}\u{202e}\u{9b}31m\nvcq: forged\rhint: forged\u{2028}";

fn check(what: &str, ran: &Ran) {
    for (stream, text) in [("out", &ran.out), ("err", &ran.err)] {
        let steering = text.chars().find(|c| {
            (c.is_control() && *c != '\n')
                || matches!(*c, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        });
        assert_eq!(steering, None, "{what}, standard {stream}: {text:?}");
        let forged = text.lines().find(|line| line.starts_with("vcq: forged") || line.starts_with("hint: forged"));
        assert_eq!(forged, None, "{what}, standard {stream}: {text:?}");
    }
}

#[test]
fn names_from_outside_steer_no_terminal() {
    let world = World::new(small());
    let good = world.read("manifest.csv");
    let (header, rows) = good.split_once('\n').unwrap();
    let name = |ending: &str| format!("{HOSTILE}{ending}");
    // A column of such a name, a value, and a file.
    let quoted = format!("\"{HOSTILE}\"");
    let row = rows.lines().next().unwrap();
    let bad = row.replacen(row.split(',').next().unwrap(), &quoted, 1);
    world.write(
        &name(".csv"),
        &format!(
            "{header},{quoted}\n{bad},\n{}\n",
            rows.lines().map(|r| format!("{r},")).collect::<Vec<_>>().join("\n")
        ),
    );
    world.write(&name("bad.csv"), &format!("{quoted},{quoted}\n1,2\n"));
    world.write(&name(".txt"), "");
    world.write(&name(".toml"), &format!("{HOSTILE:?} = 1"));
    world.write("key.toml", "\"\\u001b[2J\\u202e\\nvcq: forged\" = 1");
    world.write("value.toml", "timezone = \"\\u001b[2J\\u202e\\nvcq: forged\"");
    world.write(&name(".ndjson"), "no page\n");
    let (csv, report) = (name(".csv"), name("report"));
    let mut said = String::new();
    for args in [
        vec!["plan", "--manifest", &csv],
        vec!["plan", "--json", "--manifest", &csv],
        vec!["export", "--log", "trace", "--manifest", &csv, "--report", &report],
        vec!["export", "--log", "trace", "--log-format", "json", "--manifest", &csv],
        vec!["export", "--manifest", &name("bad.csv")],
        vec!["export", "--manifest", &name(".txt")],
        vec!["export", "--manifest", &name("none.csv")],
        vec!["export", "--manifest", &csv, "--until", HOSTILE],
        vec!["export", "--manifest", &csv, "--report", &format!("none/{HOSTILE}\0")],
        vec!["export", "--manifest", &csv, "--report", &csv],
        vec!["export", "--manifest", &csv, "--lane", HOSTILE],
        vec![HOSTILE],
        vec!["status", "--config", &name(".toml")],
        vec!["status", "--config", &name("none.toml")],
        vec!["status", "--config", "key.toml"],
        vec!["status", "--config", "value.toml"],
        vec!["status", "--state", HOSTILE],
        vec!["status", "--log", HOSTILE],
        vec!["verify", "--output", HOSTILE],
        vec!["rebuild", "--state", HOSTILE],
        vec!["adopt", "--output", &name("adopt")],
        vec!["archive", "import", &name(".ndjson")],
        vec!["archive", "import", &name("none.ndjson")],
        vec!["archive", "import", &name(".txt")],
        vec!["archive", "export", "--from", "2025-03-03", "--to", "2025-03-04", &name("out.ndjson")],
        vec!["check", "--output", &name("check"), "--state", &name("state")],
        vec!["check", "--base-url", HOSTILE],
    ] {
        if args.iter().any(|arg| arg.contains('\0')) {
            continue;
        }
        let ran = world.ran(world.vcq("").args(&args));
        check(&format!("{args:?}"), &ran);
        said += &ran.out;
        said += &ran.err;
    }
    assert!(said.matches("\\u{1b}[2J").count() > 10, "it is told all the same: {said}");

    world.write(&format!("quality/{HOSTILE}"), "");
    fs::create_dir_all(world.path("quality/date=2025-03-03")).unwrap();
    world.write(&format!("quality/date=2025-03-03/{HOSTILE}"), "");
    let verified = world.run("verify");
    assert_eq!(verified.code, Some(74), "{}{}", verified.out, verified.err);
    check("verify", &verified);
    for (file, bytes) in world.files("") {
        if file.ends_with("report") {
            check("report", &Ran { code: None, out: String::from_utf8(bytes).unwrap(), err: String::new() });
        }
    }
}

#[test]
fn the_environment_is_never_quoted() {
    let world = World::new(small());
    let broken = OsStr::from_bytes(b"s3cret\xff\x1b[2J");
    for variable in ["VCQ_APP_SECRET", "VCQ_APP_ID", "VCQ_TIMEZONE", "VCQ_LOG", "VCQ_LOG_FORMAT"] {
        for line in ["status", "check", "export --manifest manifest.csv"] {
            let ran = world.ran(world.vcq(line).env(variable, broken));
            assert_eq!(ran.code, Some(2), "{variable}: {}", ran.err);
            assert!(!ran.err.contains("s3cret") && !ran.out.contains("s3cret"), "{variable}: {}", ran.err);
            check(variable, &ran);
        }
    }
}
