"""Reads one stay with the official SDK, page by page, and prints what it saw as JSON.

Usage: sdk_reads.py URL APP_ID APP_SECRET MEETING_NO USER_ID MEETING_START MEETING_END JOIN_TIME
"""

import json
import sys

import lark_oapi
from lark_oapi.api.vc.v1 import GetParticipantQualityListRequest

PAGES_MAX = 100


def main():
    url, app_id, app_secret, meeting_no, user_id, start, end, join = sys.argv[1:]
    client = lark_oapi.Client.builder().app_id(app_id).app_secret(app_secret).domain(url).build()
    samples, pages, token = [], 0, None
    while pages < PAGES_MAX:
        request = (
            GetParticipantQualityListRequest.builder()
            .meeting_no(meeting_no)
            .user_id(user_id)
            .meeting_start_time(int(start))
            .meeting_end_time(int(end))
            .join_time(int(join))
            .page_size(100)
        )
        if token:
            request = request.page_token(token)
        response = client.vc.v1.participant_quality_list.get(request.build())
        if not response.success():
            sys.exit(f"code {response.code}: {response.msg}, log id {response.get_log_id()}")
        samples += response.data.participant_quality_list or []
        pages, token = pages + 1, response.data.page_token
        if not response.data.has_more:
            break
    delays = [sample.network and sample.network.network_delay for sample in samples]
    absent = (None, "", "-")
    print(
        json.dumps(
            {
                "pages": pages,
                "samples": len(samples),
                "network_delays": [None if delay in absent else delay for delay in delays],
            }
        )
    )


if __name__ == "__main__":
    main()
