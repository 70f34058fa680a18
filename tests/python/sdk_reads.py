"""Reads with the official SDK, page by page, and prints what it saw as JSON.

Usage: sdk_reads.py URL APP_ID APP_SECRET stay MEETING_NO USER_ID MEETING_START MEETING_END JOIN_TIME
       sdk_reads.py URL APP_ID APP_SECRET user CODE START END
       sdk_reads.py URL APP_ID APP_SECRET lists START END MEETING_NO MEETING_START MEETING_END
"""

import json
import sys

import lark_oapi
from lark_oapi.api.authen.v1 import (
    CreateOidcAccessTokenRequest,
    CreateOidcAccessTokenRequestBody,
    CreateOidcRefreshAccessTokenRequest,
    CreateOidcRefreshAccessTokenRequestBody,
    GetUserInfoRequest,
)
from lark_oapi.api.vc.v1 import (
    GetMeetingListRequest,
    GetParticipantListRequest,
    GetParticipantQualityListRequest,
    MeetingInfo,
    Participant,
)

PAGES_MAX = 100


def read(resource, new_request, key):
    """All items of all pages, how many pages those are, and the keys of the items."""
    items, pages, keys, token = [], 0, set(), None
    while pages < PAGES_MAX:
        # A builder keeps each token that it is given.
        request = new_request().page_token(token) if token else new_request()
        response = resource.get(request.build())
        if not response.success():
            sys.exit(f"code {response.code}: {response.msg}, log id {response.get_log_id()}")
        items += getattr(response.data, key) or []
        keys |= {name for item in json.loads(response.raw.content)["data"][key] or [] for name in item}
        pages, token = pages + 1, response.data.page_token
        if not response.data.has_more:
            break
    return items, pages, keys


def read_stay(vc, meeting_no, user_id, start, end, join):
    samples, pages, _ = read(
        vc.participant_quality_list,
        lambda: GetParticipantQualityListRequest.builder()
        .meeting_no(meeting_no)
        .user_id(user_id)
        .meeting_start_time(int(start))
        .meeting_end_time(int(end))
        .join_time(int(join))
        .page_size(100),
        "participant_quality_list",
    )
    delays = [sample.network and sample.network.network_delay for sample in samples]
    absent = (None, "", "-")
    return {
        "pages": pages,
        "samples": len(samples),
        "network_delays": [None if delay in absent else delay for delay in delays],
    }


def read_lists(vc, start, end, meeting_no, meeting_start, meeting_end):
    meetings, pages, meeting_keys = read(
        vc.meeting_list,
        lambda: GetMeetingListRequest.builder()
        .start_time(int(start))
        .end_time(int(end))
        .include_webinar(True)
        .include_external_meetings(False),
        "meeting_list",
    )
    participants, _, participant_keys = read(
        vc.participant_list,
        lambda: GetParticipantListRequest.builder()
        .meeting_no(meeting_no)
        .meeting_start_time(int(meeting_start))
        .meeting_end_time(int(meeting_end))
        .page_size(100),
        "participants",
    )
    unknown = (meeting_keys - vars(MeetingInfo()).keys()) | (participant_keys - vars(Participant()).keys())
    return {
        "pages": pages,
        "meetings": [[meeting.meeting_id, meeting.meeting_start_time] for meeting in meetings],
        "participants": [
            [person.user_id, person.meeting_room_id, person.device, person.join_time] for person in participants
        ],
        "unknown_keys": sorted(unknown),
    }


def data_of(response):
    if not response.success():
        sys.exit(f"code {response.code}: {response.msg}, log id {response.get_log_id()}")
    return response.data


def read_as_user(client, user, code, start, end):
    """Exchanges a code, renews what it brings, and lists meetings as that person; then as the app, and renews once more."""
    authen = client.authen.v1
    body = CreateOidcAccessTokenRequestBody.builder().grant_type("authorization_code").code(code).build()
    first = data_of(authen.oidc_access_token.create(CreateOidcAccessTokenRequest.builder().request_body(body).build()))
    body = CreateOidcRefreshAccessTokenRequestBody.builder().grant_type("refresh_token").refresh_token(first.refresh_token)
    request = CreateOidcRefreshAccessTokenRequest.builder().request_body(body.build()).build()
    second = data_of(authen.oidc_refresh_access_token.create(request))
    again = authen.oidc_refresh_access_token.create(request)
    option = lark_oapi.RequestOption.builder().user_access_token(second.access_token).build()
    person = data_of(user.authen.v1.user_info.get(GetUserInfoRequest.builder().build(), option))

    # The SDK notes in a request whose token it went out with.
    def new_request():
        return GetMeetingListRequest.builder().start_time(int(start)).end_time(int(end)).build()

    meetings = data_of(user.vc.v1.meeting_list.get(new_request(), option)).meeting_list
    return {
        "name": person.name,
        "open_id": person.open_id,
        "expires_in": second.expires_in,
        "meetings": len(meetings),
        "again": again.code,
        "as_app": client.vc.v1.meeting_list.get(new_request()).code,
    }


def main():
    url, app_id, app_secret, what, *arguments = sys.argv[1:]
    client = lark_oapi.Client.builder().app_id(app_id).app_secret(app_secret).domain(url).build()
    if what == "user":
        builder = lark_oapi.Client.builder().app_id(app_id).app_secret(app_secret).domain(url)
        print(json.dumps(read_as_user(client, builder.enable_set_token(True).build(), *arguments)))
    else:
        print(json.dumps({"stay": read_stay, "lists": read_lists}[what](client.vc.v1, *arguments)))


if __name__ == "__main__":
    main()
