//! The page's texts: one table for each language. `{0}`, `{1}` and `{2}` are filled by [`fill`].

use super::Language;

/// The texts of one language.
pub(super) struct Texts {
    /// The tag of the language.
    pub(super) lang: &'static str,
    /// What the page is called.
    pub(super) title: &'static str,
    /// Before the zone's name.
    pub(super) zone: &'static str,
    /// Before the time at which it was written.
    pub(super) written: &'static str,
    /// A question.
    pub(super) question_complete: &'static str,
    /// A question.
    pub(super) question_good: &'static str,
    /// A question.
    pub(super) question_when: &'static str,
    /// A question.
    pub(super) question_where: &'static str,
    /// Instead of an answer, where there are no minutes.
    pub(super) nothing: &'static str,
    /// {0} found, {1} expected stays.
    pub(super) complete_share: &'static str,
    /// {0} minutes, {1} of {2} dates.
    pub(super) complete_minutes: &'static str,
    /// {0} texts.
    pub(super) complete_unparsed: &'static str,
    /// {0} share.
    pub(super) good_short: &'static str,
    /// {0} bad of {1} minutes.
    pub(super) good_share: &'static str,
    /// {0} cause, {1} share.
    pub(super) good_most: &'static str,
    /// {0} share, {1} minutes.
    pub(super) when_worst: &'static str,
    /// {0} share, {1} minutes, {2} share of the best.
    pub(super) where_worst: &'static str,
    /// {0} minutes.
    pub(super) too_few: &'static str,
    /// {0} minutes.
    pub(super) bad_means: &'static str,
    /// {0} first, {1} last date.
    pub(super) against: &'static str,
    /// A verdict.
    pub(super) better: &'static str,
    /// A verdict.
    pub(super) worse: &'static str,
    /// A verdict.
    pub(super) noise: &'static str,
    /// A verdict.
    pub(super) unknown: &'static str,
    /// The unit of a difference of shares.
    pub(super) points: &'static str,
    /// How the verdict comes about.
    pub(super) against_explained: &'static str,
    /// {0} first, {1} last date.
    pub(super) no_against: &'static str,
    /// A heading.
    pub(super) calendar: &'static str,
    /// Seven, from Monday on, with blanks between.
    pub(super) weekdays: &'static str,
    /// What a cell shows.
    pub(super) calendar_share: &'static str,
    /// What a cell shows without participants.
    pub(super) calendar_minutes: &'static str,
    /// A heading.
    pub(super) by_date: &'static str,
    /// A heading.
    pub(super) by_period: &'static str,
    /// A column.
    pub(super) date: &'static str,
    /// A column.
    pub(super) period: &'static str,
    /// A column.
    pub(super) minutes: &'static str,
    /// A column.
    pub(super) stays: &'static str,
    /// A column.
    pub(super) meetings: &'static str,
    /// A column.
    pub(super) meetings_listed: &'static str,
    /// A column.
    pub(super) attendances: &'static str,
    /// A column.
    pub(super) without_id: &'static str,
    /// A column.
    pub(super) too_long: &'static str,
    /// A column.
    pub(super) expected: &'static str,
    /// A column.
    pub(super) found: &'static str,
    /// A column.
    pub(super) unparsed: &'static str,
    /// A heading.
    pub(super) unparsed_heading: &'static str,
    /// A column.
    pub(super) column: &'static str,
    /// A column.
    pub(super) unread: &'static str,
    /// A row.
    pub(super) total: &'static str,
    /// A heading.
    pub(super) not_told: &'static str,
    /// A point.
    pub(super) not_told_queue: &'static str,
    /// A point.
    pub(super) not_told_unknown: &'static str,
    /// A point.
    pub(super) not_told_others: &'static str,
    /// A point.
    pub(super) not_told_participants: &'static str,
    /// A point.
    pub(super) not_told_meetings: &'static str,
    /// A heading.
    pub(super) causes: &'static str,
    /// A column.
    pub(super) cause: &'static str,
    /// A column.
    pub(super) bad_minutes: &'static str,
    /// A column.
    pub(super) share: &'static str,
    /// A column.
    pub(super) change: &'static str,
    /// A row.
    pub(super) any_cause: &'static str,
    /// A cause.
    pub(super) delay: &'static str,
    /// A cause.
    pub(super) loss: &'static str,
    /// A cause.
    pub(super) jitter: &'static str,
    /// A cause.
    pub(super) cpu: &'static str,
    /// A cause.
    pub(super) frame_rate: &'static str,
    /// A heading.
    pub(super) metrics: &'static str,
    /// A column.
    pub(super) metric: &'static str,
    /// A column, a line.
    pub(super) median: &'static str,
    /// A column, a line.
    pub(super) p95: &'static str,
    /// A column, a line.
    pub(super) limit: &'static str,
    /// A column.
    pub(super) beyond: &'static str,
    /// A heading.
    pub(super) over_time: &'static str,
    /// {0} metric: what a picture shows, for who does not see it.
    pub(super) plot: &'static str,
    /// What opens the numbers of a picture.
    pub(super) numbers: &'static str,
    /// What the table of hours shows.
    pub(super) heat: &'static str,
    /// {0} minutes.
    pub(super) without_time: &'static str,
    /// A heading.
    pub(super) worst_meetings: &'static str,
    /// A heading.
    pub(super) worst_rooms: &'static str,
    /// A heading.
    pub(super) worst_users: &'static str,
    /// A heading.
    pub(super) means: &'static str,
    /// A heading.
    pub(super) network_type: &'static str,
    /// A heading.
    pub(super) device: &'static str,
    /// A heading.
    pub(super) app_version: &'static str,
    /// A heading.
    pub(super) location: &'static str,
    /// A heading.
    pub(super) microphone: &'static str,
    /// A column.
    pub(super) meeting: &'static str,
    /// A column.
    pub(super) begin: &'static str,
    /// A column.
    pub(super) size: &'static str,
    /// A column.
    pub(super) kind: &'static str,
    /// A column.
    pub(super) name: &'static str,
    /// A column.
    pub(super) bad: &'static str,
    /// A row.
    pub(super) null: &'static str,
    /// {0} ranked.
    pub(super) ranked: &'static str,
    /// {0} with too few minutes, {1} their minutes.
    pub(super) few: &'static str,
    /// {0} minutes.
    pub(super) further: &'static str,
    /// Instead of a table.
    pub(super) none_ranked: &'static str,
    pub(super) nothing_bad: &'static str,
    /// {0} joined, {1} all minutes.
    pub(super) joined: &'static str,
    /// A means.
    pub(super) room: &'static str,
    /// A means.
    pub(super) computer: &'static str,
    /// A means.
    pub(super) mobile: &'static str,
    /// A means.
    pub(super) other: &'static str,
    /// A means.
    pub(super) unknown_means: &'static str,
    /// A kind of meeting.
    pub(super) video_meeting: &'static str,
    /// A kind of meeting.
    pub(super) casting: &'static str,
    /// A kind of meeting.
    pub(super) webinar: &'static str,
    /// A kind of meeting.
    pub(super) offline: &'static str,
    /// A heading.
    pub(super) limits: &'static str,
    /// A column.
    pub(super) key: &'static str,
    /// A column.
    pub(super) source: &'static str,
    /// {0} value.
    pub(super) default: &'static str,
    /// Instead of a limit.
    pub(super) not_judged: &'static str,
    /// A source.
    pub(super) source_delay: &'static str,
    /// A source.
    pub(super) source_loss: &'static str,
    /// A source.
    pub(super) source_jitter: &'static str,
    /// A source.
    pub(super) source_cpu: &'static str,
    /// A source.
    pub(super) source_video: &'static str,
    /// A source.
    pub(super) source_sharing: &'static str,
    /// A heading.
    pub(super) about: &'static str,
    /// {0} quality files.
    pub(super) about_text: &'static str,
    /// A section.
    pub(super) network: &'static str,
    /// A section.
    pub(super) audio: &'static str,
    /// A section.
    pub(super) video: &'static str,
    /// A section.
    pub(super) screen_sharing: &'static str,
    /// A quantity.
    pub(super) latency: &'static str,
    /// A quantity.
    pub(super) packet_loss: &'static str,
    /// A quantity.
    pub(super) client_cpu: &'static str,
    /// A quantity.
    pub(super) system_cpu: &'static str,
    /// A direction.
    pub(super) received: &'static str,
    /// A direction.
    pub(super) sent: &'static str,
}

impl Texts {
    /// Those of a language.
    pub(super) fn of(language: Language) -> &'static Self {
        match language {
            Language::English => &ENGLISH,
            Language::Chinese => &CHINESE,
        }
    }
}

/// Puts values in the places of `{0}`, `{1}`, …
pub(super) fn fill(text: &str, values: &[&str]) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let (number, after) = after.split_once('}').unwrap_or((after, ""));
        filled.push_str(number.parse().ok().and_then(|number: usize| values.get(number)).unwrap_or(&""));
        rest = after;
    }
    filled.push_str(rest);
    filled
}

static ENGLISH: Texts = Texts {
    lang: "en",
    title: "Quality of video meetings",
    zone: "time zone",
    written: "written",
    question_complete: "Is it complete?",
    question_good: "How good was it?",
    question_when: "When was it bad?",
    question_where: "Where was it bad?",
    nothing: "No minutes are published of these dates: \"vcq status\" says what is still to be asked for.",
    complete_share: "{0} of {1} participations have minutes",
    complete_minutes: "{0} minutes on {1} of {2} dates",
    complete_unparsed: "{0} texts could not be read",
    good_short: "{0} bad",
    good_share: "{0} of {1} minutes had a value beyond its limit",
    good_most: "most often {0}: {1}",
    when_worst: "bad in {0} of {1} minutes, the hour that adds most to the {2} of all; meetings that began on that date",
    where_worst: "bad in {0} of {1} minutes; nothing else adds more to the {2} of all",
    too_few: "No group has {0} minutes, so that nothing is ranked.",
    bad_means: "A minute of a participant is bad if one of its values is beyond its limit (limits are below). Nothing with fewer than {0} minutes is ranked.",
    against: "Beside {0} to {1}",
    better: "better",
    worse: "worse",
    noise: "no more than days differ",
    unknown: "too few days to tell",
    points: "points",
    against_explained: "The change is in percentage points. It counts as better or worse if the mean days of both spans are further apart than days differ by themselves (Student's t, 95 %); working days and weekends are not told apart.",
    no_against: "No minutes are published of {0} to {1}, so that there is nothing to compare with.",
    calendar: "Calendar",
    weekdays: "Mo Tu We Th Fr Sa Su",
    calendar_share: "Below the day: the share of participations that have minutes.",
    calendar_minutes: "Below the day: its minutes. How many there should be is known with the dataset participants only.",
    by_date: "Date by date",
    by_period: "Period by period",
    date: "date",
    period: "dates",
    minutes: "minutes",
    stays: "participations with minutes",
    meetings: "meetings with minutes",
    meetings_listed: "meetings listed",
    attendances: "participations listed",
    without_id: "without an id",
    too_long: "longer than a day",
    expected: "expected",
    found: "found",
    unparsed: "unread texts",
    unparsed_heading: "Texts that could not be read, by column",
    column: "column",
    unread: "texts",
    total: "all",
    not_told: "What files alone do not tell",
    not_told_queue: "whether participations are still to be asked for, or were refused: “vcq status” and the report of the run say so",
    not_told_unknown: "fields of the API that vcq does not know: the report of the run counts them",
    not_told_others: "what is in {0} other Parquet files that stand beside these: vcq has not named them, and they are not counted",
    not_told_participants: "without the dataset participants: how many participations there should be, and minutes by network, device, version, location and microphone (“vcq discover” publishes it)",
    not_told_meetings: "without the dataset meetings: the size and kind of meetings (“vcq discover” publishes it)",
    causes: "Why minutes were bad",
    cause: "cause",
    bad_minutes: "bad minutes",
    share: "share",
    change: "change",
    any_cause: "any",
    delay: "delay",
    loss: "loss",
    jitter: "jitter",
    cpu: "CPU",
    frame_rate: "frame rate",
    metrics: "The metrics",
    metric: "metric",
    median: "median",
    p95: "95th percentile",
    limit: "limit",
    beyond: "beyond it",
    over_time: "Over time",
    plot: "{0}: median and 95th percentile by date; the numbers stand below",
    numbers: "numbers",
    heat: "Share of bad minutes in percent. Row: the date on which the meeting began; column: the hour of the day at which the minute was. A dot: fewer minutes than are ranked.",
    without_time: "{0} minutes have no time and are not shown here.",
    worst_meetings: "Worst meetings",
    worst_rooms: "Worst rooms",
    worst_users: "Worst users",
    means: "Room, computer or mobile",
    network_type: "Type of network",
    device: "Device",
    app_version: "Version of the client",
    location: "Location",
    microphone: "Microphone",
    meeting: "meeting",
    begin: "begin",
    size: "people",
    kind: "kind",
    name: "name",
    bad: "bad",
    null: "(not told)",
    ranked: "{0} ranked",
    few: "{0} with too few minutes, {1} together",
    further: "{0} further minutes are of groups that are not told apart.",
    none_ranked: "Nothing has enough minutes.",
    nothing_bad: "None of those that are ranked had a bad minute.",
    joined: "From the dataset participants, which knows {0} of {1} minutes",
    room: "room",
    computer: "computer",
    mobile: "mobile",
    other: "other device",
    unknown_means: "user, device unknown",
    video_meeting: "video meeting",
    casting: "casting a screen",
    webinar: "webinar",
    offline: "offline meeting",
    limits: "Limits",
    key: "key in [report]",
    source: "where the default comes from",
    default: "default {0}",
    not_judged: "not judged",
    source_delay: "ITU-T G.114 and G.1010: up to 150 ms one way a conversation does not suffer. The vendor does not say whether its delay is that of one way or of both.",
    source_loss: "ITU-T G.1010: speech bears 3 %, video telephony 1 %.",
    source_jitter: "No value of ITU-T's fits; 30 ms is where Microsoft Teams begins to call audio poor. The vendor gives none.",
    source_cpu: "There is no source; above 90 % little is left for anything that comes in between.",
    source_video: "There is no source; below 10 pictures a second a movement is seen to jump. 0 is no picture, and not judged.",
    source_sharing: "The vendor's help has 5 for its weakest machines. 0 is no picture, and not judged.",
    about: "How the numbers come about",
    about_text: "One row of the dataset is a minute of a participant. Quantiles are exact, between two values in proportion; only if a metric has more than 4096 distinct values that are neither whole numbers nor hundredths are those rounded, by 0.2 % at most. Dates are those on which meetings began. {0} files of quality were read.",
    network: "Network",
    audio: "Audio",
    video: "Video",
    screen_sharing: "Shared screen",
    latency: "latency",
    packet_loss: "packet loss",
    client_cpu: "CPU of the client",
    system_cpu: "CPU of the machine",
    received: "received",
    sent: "sent",
};

static CHINESE: Texts = Texts {
    lang: "zh-CN",
    title: "视频会议质量",
    zone: "时区",
    written: "生成于",
    question_complete: "数据完整吗?",
    question_good: "质量如何?",
    question_when: "什么时候差?",
    question_where: "哪里差?",
    nothing: "这些日期没有已发布的分钟数据:\"vcq status\" 显示还需获取的内容。",
    complete_share: "{1} 次参会中有 {0} 次有分钟数据",
    complete_minutes: "{2} 天中有 {1} 天共 {0} 分钟",
    complete_unparsed: "{0} 个文本无法读取",
    good_short: "{0} 较差",
    good_share: "{1} 分钟中有 {0} 分钟超出限值",
    good_most: "最常见原因:{0},{1}",
    when_worst: "当天开始的会议中对总体 {2} 影响最大的一小时,{1} 分钟中 {0} 较差",
    where_worst: "{1} 分钟中 {0} 较差;对总体 {2} 影响最大",
    too_few: "没有任何一组达到 {0} 分钟,因此不做排名。",
    bad_means: "参会者的一分钟里只要有一个值超出限值(见下文),即为较差。少于 {0} 分钟的不参与排名。",
    against: "对比 {0} 至 {1}",
    better: "变好",
    worse: "变差",
    noise: "未超出日常波动",
    unknown: "天数太少,无法判断",
    points: "个百分点",
    against_explained: "变化以百分点表示。只有当两个时间段的日均值之差大于日常波动(Student t 检验,95 %)时,才判为变好或变差;不区分工作日与周末。",
    no_against: "{0} 至 {1} 没有已发布的分钟数据,无从对比。",
    calendar: "日历",
    weekdays: "一 二 三 四 五 六 日",
    calendar_share: "日期下方:有分钟数据的参会占比。",
    calendar_minutes: "日期下方:分钟数。应有多少,只有 participants 数据集才能说明。",
    by_date: "逐日",
    by_period: "逐期",
    date: "日期",
    period: "日期",
    minutes: "分钟",
    stays: "有数据的参会",
    meetings: "有数据的会议",
    meetings_listed: "列出的会议",
    attendances: "列出的参会",
    without_id: "无 ID",
    too_long: "超过一天",
    expected: "应有",
    found: "已有",
    unparsed: "未读文本",
    unparsed_heading: "无法读取的文本(按列)",
    column: "列",
    unread: "文本数",
    total: "合计",
    not_told: "仅凭文件无法得知",
    not_told_queue: "是否还有待查询或被拒绝的参会:见 “vcq status” 和运行报告",
    not_told_unknown: "vcq 不认识的 API 字段:运行报告中有计数",
    not_told_others: "旁边另有 {0} 个不是 vcq 命名的 Parquet 文件,未计入",
    not_told_participants: "没有 participants 数据集:应有多少参会,以及按网络、设备、版本、位置和麦克风的分布(由 “vcq discover” 发布)",
    not_told_meetings: "没有 meetings 数据集:会议的规模和类型(由 “vcq discover” 发布)",
    causes: "较差的原因",
    cause: "原因",
    bad_minutes: "较差分钟",
    share: "占比",
    change: "变化",
    any_cause: "任一",
    delay: "延迟",
    loss: "丢包",
    jitter: "抖动",
    cpu: "CPU",
    frame_rate: "帧率",
    metrics: "各项指标",
    metric: "指标",
    median: "中位数",
    p95: "第 95 百分位",
    limit: "限值",
    beyond: "超限占比",
    over_time: "随时间变化",
    plot: "{0}:按日期的中位数和第 95 百分位;数值见下方",
    numbers: "数值",
    heat: "较差分钟占比(百分数)。行:会议开始的日期;列:该分钟所在的小时。圆点:分钟数不足,不参与排名。",
    without_time: "{0} 分钟没有时间,未在此显示。",
    worst_meetings: "最差的会议",
    worst_rooms: "最差的会议室",
    worst_users: "最差的用户",
    means: "会议室、电脑或手机",
    network_type: "网络类型",
    device: "设备",
    app_version: "客户端版本",
    location: "位置",
    microphone: "麦克风",
    meeting: "会议",
    begin: "开始",
    size: "人数",
    kind: "类型",
    name: "名称",
    bad: "较差",
    null: "(未提供)",
    ranked: "{0} 项参与排名",
    few: "{0} 项分钟太少,共 {1} 分钟",
    further: "另有 {0} 分钟属于未再细分的组。",
    none_ranked: "没有达到分钟下限的项。",
    nothing_bad: "参与排名的各项都没有较差的分钟。",
    joined: "来自 participants 数据集,覆盖 {1} 分钟中的 {0} 分钟",
    room: "会议室",
    computer: "电脑",
    mobile: "手机",
    other: "其他设备",
    unknown_means: "用户,设备未知",
    video_meeting: "视频会议",
    casting: "投屏",
    webinar: "网络研讨会",
    offline: "线下会议",
    limits: "限值",
    key: "[report] 中的键",
    source: "默认值的来源",
    default: "默认 {0}",
    not_judged: "不评判",
    source_delay: "ITU-T G.114、G.1010:单向 150 ms 以内不影响交谈。厂商未说明其延迟是单向还是往返。",
    source_loss: "ITU-T G.1010:语音可承受 3 %,可视电话 1 %。",
    source_jitter: "ITU-T 没有合适的值;30 ms 是 Microsoft Teams 判定音频较差的界限。厂商没有给出。",
    source_cpu: "没有来源;高于 90 % 时几乎没有余量。",
    source_video: "没有来源;低于每秒 10 帧时动作明显跳跃。0 表示没有画面,不评判。",
    source_sharing: "厂商帮助中最弱设备的共享帧率为 5。0 表示没有画面,不评判。",
    about: "数值的计算方法",
    about_text: "数据集的一行是一位参会者的一分钟。分位数精确计算,两值之间按比例插值;只有当某指标有超过 4096 个既非整数也非百分位小数的不同值时,才做舍入,误差不超过 0.2 %。日期为会议开始的日期。共读取 {0} 个 quality 文件。",
    network: "网络",
    audio: "音频",
    video: "视频",
    screen_sharing: "共享屏幕",
    latency: "延迟",
    packet_loss: "丢包率",
    client_cpu: "客户端 CPU",
    system_cpu: "整机 CPU",
    received: "接收",
    sent: "发送",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_put_in_once() {
        assert_eq!(fill("{1} of {0}", &["a {1}", "b"]), "b of a {1}", "what is put in is not looked at again");
        assert_eq!(fill("{2}, {", &["a"]), ", ");
    }
}
