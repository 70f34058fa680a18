use ::url::Url;

use super::*;

fn load(file: &str) -> Result<Config, String> {
    Config::load(Some(("vcq.toml", file)), [], &[]).map_err(|error| error.to_string())
}

#[test]
fn defaults_are_those_of_the_contract() {
    let config = Config::load(None, [], &[]).unwrap();
    let expected = Config {
        file: None,
        timezone: Tz::Asia__Shanghai,
        state: "state".into(),
        output: "quality".into(),
        table: Form::Files,
        table_retention: Duration::from_secs(7 * 24 * 3600),
        complete_markers: None,
        absent_retry_for: Duration::from_secs(48 * 3600),
        app_id: String::new(),
        app_secret_file: None,
        auth: Auth {
            identity: AuthAs::Tenant,
            access_token_file: None,
            redirect_uri: "http://127.0.0.1:8360/".parse().unwrap(),
            accounts_url: Some("https://accounts.feishu.cn".parse().unwrap()),
            scopes: vec!["vc:room:readonly".into(), "vc:rooms.room.detailinfo:read".into()],
        },
        api: Api {
            base_url: "https://open.feishu.cn".parse().unwrap(),
            user_id_type: UserIdType::OpenId,
            naive_utc_offset: FixedOffset::east_opt(8 * 3600).unwrap(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
        },
        rate: Rate { requests_per_minute: 100, requests_per_month: None, in_flight_max: 16 },
        retry: Retry { attempts_max: 8, outage_max: Duration::from_secs(1800), stop_on_anomaly: true },
        discover: Discover {
            meetings: Some("meetings".into()),
            participants: Some("participants".into()),
            include_external_meetings: false,
            include_webinar: false,
            personal: Vec::new(),
        },
        store: ObjectStores::default(),
        naive_times: None,
        metrics_textfile: None,
        notify: Notify { url_file: None, secret_file: None, form: NoticeForm::Json, of: NoticeOf::Problems },
        report: Report {
            minutes_min: 30,
            limits: Limits {
                delay_ms: 150.0,
                loss_pct: 3.0,
                jitter_ms: 30.0,
                cpu_pct: 90.0,
                video_framerate_fps: 10.0,
                screen_sharing_framerate_fps: 5.0,
            },
        },
    };
    assert_eq!(config, expected);
    let expected = Config { file: Some("vcq.toml".into()), ..expected };
    assert_eq!(load(DEFAULTS).unwrap(), expected, "the documented file says the same as no file");
}

#[test]
fn flag_beats_environment_beats_file() {
    let environment = || {
        [("VCQ_TIMEZONE", "UTC"), ("VCQ_RATE_REQUESTS_PER_MINUTE", "50"), ("PATH", "/bin")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    let file = Some(("vcq.toml", "timezone = 'Asia/Tokyo'\nstate = 's'\n[rate]\nrequests_per_minute = 7"));
    let config = Config::load(file, environment(), &[("timezone", "Asia/Seoul".into())]).unwrap();
    assert_eq!(config.timezone, Tz::Asia__Seoul);
    assert_eq!(config.rate.requests_per_minute, 50);
    assert_eq!(config.state, PathBuf::from("s"));
}

#[test]
fn relative_paths_of_a_file_are_relative_to_it_and_others_to_the_working_directory() {
    let text = "state = 's'\noutput = '/data/q'\napp_secret_file = 'secret'\n[discover]\nmeetings = '../m'";
    let file = Some(("/etc/vcq/vcq.toml", text));
    let config = Config::load(file, [], &[]).unwrap();
    assert_eq!(config.state, PathBuf::from("/etc/vcq/s"));
    assert_eq!(config.output, "/data/q".into());
    assert_eq!(config.app_secret_file, Some("/etc/vcq/secret".into()));
    assert_eq!(config.discover.meetings, Some("/etc/vcq/../m".into()));
    assert_eq!(config.discover.participants, Some("participants".into()), "a default");
    let variable = [("VCQ_OUTPUT".to_owned(), "q".to_owned())];
    let config = Config::load(file, variable, &[("state", "here".into())]).unwrap();
    assert_eq!((config.state, config.output), ("here".into(), "q".into()));
    let config = Config::load(Some(("vcq.toml", text)), [], &[]).unwrap();
    assert_eq!(config.state, PathBuf::from("s"), "beside it");
}

#[test]
fn a_place_in_a_bucket_is_relative_to_nothing() {
    let text =
        "output = 's3://lake/q'\n[discover]\nmeetings = 's3://lake/m'\n[store]\nendpoint = 'https://oss.example'";
    let config = Config::load(Some(("/etc/vcq/vcq.toml", text)), [], &[]).unwrap();
    assert_eq!(config.output.to_string(), "s3://lake/q");
    assert_eq!(config.discover.meetings.map(|place| place.to_string()).as_deref(), Some("s3://lake/m"));
    assert_eq!(config.store.endpoint.unwrap().as_str(), "https://oss.example/");
}

#[test]
fn an_address_of_another_kind_is_refused_with_the_way_to_say_it() {
    for (file, expected) in [
        (
            "output = 'oss://lake/q'",
            "`output` is \"oss://lake/q\", but must be a folder's path other than `/`, or `s3://B",
        ),
        ("output = 's3://AK:s3cret@lake/q'", "`output` is a text that is not shown here"),
        ("[discover]\nmeetings = 's3a://lake/m'", "`discover.meetings` is \"s3a://lake/m\", but must be"),
        ("[store]\nendpoint = 'https://AK:s3cret@oss.example'", "`store.endpoint` is a text that is not shown here"),
        ("[store]\nendpoint = 'https://oss.example/lake'", "must be an https URL of a host without bucket"),
        ("[store]\nendpoint = 'http://127.0.0.1:9000'", "http on a loopback address only, with `store.allow_http`"),
        ("[store]\nendpoint = 'http://oss.example'\nallow_http = true", "must be an https URL"),
        ("[store]\nregion = 'cn hangzhou'", "must be a region such as `cn-hangzhou`, or empty"),
    ] {
        let error = load(file).unwrap_err();
        assert!(error.contains(expected), "{file}: {error}");
        assert!(!error.contains("s3cret"), "{file}: {error}");
    }
    assert!(load("[store]\nendpoint = 'http://127.0.0.1:9000'\nallow_http = true").is_ok());
}

#[test]
fn an_unknown_key_names_the_nearest_known_one() {
    assert_eq!(
        load("[rate]\nrequest_per_minute = 1").unwrap_err(),
        "vcq.toml: there is no key `rate.request_per_minute`; did you mean `rate.requests_per_minute`?"
    );
    assert_eq!(
        load("base_url = 'https://open.feishu.cn'").unwrap_err(),
        "vcq.toml: there is no key `base_url`; did you mean `api.base_url`?"
    );
    assert_eq!(load("zzz = 1").unwrap_err(), "vcq.toml: there is no key `zzz`");
    let variable = [("VCQ_TIME_ZONE".to_owned(), "UTC".to_owned())];
    assert_eq!(
        Config::load(None, variable, &[]).unwrap_err().to_string(),
        "environment: there is no key `VCQ_TIME_ZONE`; did you mean `VCQ_TIMEZONE`?"
    );
}

#[test]
fn values_out_of_range_name_the_rule() {
    for (file, expected) in [
        ("timezone = 'Mars'", "`timezone` is \"Mars\", but must be an IANA time zone"),
        ("[rate]\nrequests_per_minute = 0", "`rate.requests_per_minute` is 0, but must be a number from 1 to 10000"),
        ("[rate]\nrequests_per_month = -1", "`rate.requests_per_month` is -1, but must be"),
        ("[api]\nrequest_timeout = '30'", "`api.request_timeout` is \"30\", but must be a duration of 1s to 5m"),
        ("[api]\nrequest_timeout = 30", "`api.request_timeout` is 30, but must be a duration of 1s to 5m"),
        ("[api]\nuser_id_type = 'email'", "must be `open_id`, `union_id` or `user_id`"),
        ("[api]\nnaive_utc_offset = 'x'", "must be a UTC offset such as `+08:00`"),
        ("[manifest]\nnaive_times = 'Asia/Shanghai'", "must be `utc`, a UTC offset such as `+08:00`, or empty"),
        ("table = 'iceberg'", "`table` is \"iceberg\", but must be `files` or `delta`"),
        ("table_retention = '1m'", "`table_retention` is \"1m\", but must be a duration of 1h to 3650d"),
        ("state = ''", "`state` is \"\", but must be a folder's path"),
        ("[retry]\nattempts_max = 'many'", "must be a number from 1 to 100"),
        ("[report]\ndelay_ms = -1", "`report.delay_ms` is -1, but must be a number from 0 (not judged) to 100000"),
        ("[report]\nloss_pct = nan", "`report.loss_pct` is nan, but must be"),
        ("[report]\nminutes_min = 0", "`report.minutes_min` is 0, but must be a number from 1 to 1000000"),
    ] {
        let error = load(file).unwrap_err();
        assert!(error.contains(expected), "{file}: {error}");
    }
}

#[test]
fn nothing_that_may_be_a_secret_is_quoted() {
    for (file, expected) in [
        ("app_id = 'cli_1 s3cret'", "`app_id` is a text that is not shown here, but must be a text without blanks"),
        ("app_id = ['s3cret']", "`app_id` is a list"),
        ("app_id = 3", "`app_id` is 3"),
        ("state = ['s3cret']", "`state` is a list"),
        ("api.base_url = 'https://u:s3cret@open.feishu.cn'", "`api.base_url` is a text that is not shown here"),
        ("api.base_url = 's3cret'", "`api.base_url` is a text that is not shown here"),
        ("api.base_url = 'https://open.feishu.cn?app_secret=s3cret'", "is a text that is not shown here"),
        ("api.base_url = 'http://open.feishu.cn'", "is \"http://open.feishu.cn\", but must be an https URL"),
        ("timezone = 'a text of more than forty characters: s3cret'", "`timezone` is a long text"),
        ("timezone = 'UTC'\napp_id = s3cret", "is not TOML: line 2, column 10, the value of `app_id`: "),
        ("[api]\nbase_url = s3cret", "is not TOML: line 2, column 12, the value of `api.base_url`: "),
        ("s3cret", "is not TOML: line 1, column 7: "),
        ("app_id = 's3cret", "is not TOML: line 1, column "),
        ("app_id = 's3cret' s3cret", "is not TOML: line 1, column "),
        ("'s3cret' = 1\n's3cret' = 2", "is not TOML: line 2, column 1: duplicate key"),
    ] {
        let error = load(file).unwrap_err();
        assert!(error.contains(expected), "{file}: {error}");
        assert!(!error.contains("s3cret"), "{file}: {error}");
    }
}

#[test]
fn who_asks_is_one_of_three_and_answers_go_where_nobody_listens() {
    for (file, expected) in [
        ("as = 'users'", "`auth.as` is a text that is not shown here, but must be `tenant`, `user` or `given`"),
        ("redirect_uri = 'http://example.com/'", "must be an https URL without a fragment"),
        ("redirect_uri = 'http://127.0.0.1/'", "must be an https URL without a fragment"),
        ("scopes = []", "must be a list of scopes"),
        ("accounts_url = 'http://accounts.feishu.cn'", "must be an https URL of a host"),
    ] {
        let error = load(&format!("[auth]\n{file}")).unwrap_err();
        assert!(error.contains(expected), "{file}: {error}");
    }
    let config = load("[auth]\nas = 'given'\naccess_token_file = 'token'").unwrap();
    assert_eq!((config.auth.identity, config.auth.access_token_file), (AuthAs::Given, Some("token".into())));
    let scopes = [("VCQ_AUTH_SCOPES".to_owned(), "vc:room:readonly, a:b".to_owned())];
    assert_eq!(Config::load(None, scopes, &[]).unwrap().auth.scopes, ["vc:room:readonly", "a:b"]);
    for (base_url, accounts) in [
        ("https://open.larksuite.com", Some("https://accounts.larksuite.com/")),
        ("http://127.0.0.1:8350", Some("http://127.0.0.1:8350/")),
        ("https://open.example.com", None),
    ] {
        let config = load(&format!("[api]\nbase_url = '{base_url}'")).unwrap();
        assert_eq!(config.auth.accounts_url.as_ref().map(Url::as_str), accounts, "{base_url}");
    }
}

#[test]
fn naive_times_are_refused_or_have_an_offset() {
    for (value, seconds) in [
        ("", None),
        ("utc", Some(0)),
        ("UTC", Some(0)),
        ("+08:00", Some(28_800)),
        ("-03:30", Some(-12_600)),
        ("+00:00", Some(0)),
    ] {
        let config = load(&format!("[manifest]\nnaive_times = '{value}'")).unwrap();
        assert_eq!(config.naive_times.map(|offset| offset.local_minus_utc()), seconds, "{value}");
    }
}

#[test]
fn plain_http_is_for_loopback_alone() {
    for (url, accepted) in [
        ("https://open.larksuite.com", true),
        ("https://feishu.example.com:8443/", true),
        ("http://127.0.0.1:8350", true),
        ("http://localhost:1", true),
        ("http://[::1]:1", true),
        ("http://open.feishu.cn", false),
        ("http://127.0.0.1.example.com", false),
        ("http://localhost@example.com", false),
        ("https://user@open.feishu.cn", false),
        ("https://open.feishu.cn/open-apis", false),
        ("https://open.feishu.cn?x=1", false),
        ("ftp://open.feishu.cn", false),
        ("open.feishu.cn", false),
    ] {
        assert_eq!(load(&format!("[api]\nbase_url = '{url}'")).is_ok(), accepted, "{url}");
    }
}
