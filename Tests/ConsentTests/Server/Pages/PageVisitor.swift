import Foundation
import Models
import Postgres
import ServiceKit
import TestSupport
import Testing

/// Somebody with a link, and no key of any kind.
struct PageVisitor: Sendable {
    let fixture: ConsentFixture
    /// `/preferences/…` without its query.
    let path: String

    /// Gives a profile its link, as an operator does.
    init(_ fixture: ConsentFixture, of profile: ProfileID, expiresAt: Instant? = nil) async throws {
        var body: [String: JSON] = ["subject": ["profileId": .string(profile.description)]]
        if let expiresAt { body["expiresAt"] = .string(expiresAt.rfc3339) }
        let answer = try await fixture.service.request("POST", "/v1/preference-links", json: .object(body))
        #expect(answer.status == 201)
        #expect(answer.headers["cache-control"] == "no-store")
        let url = try #require(answer.json["url"]?.string)
        self.fixture = fixture
        path = String(url[try #require(url.range(of: "/preferences/")).lowerBound...])
    }

    init(_ fixture: ConsentFixture, path: String) { (self.fixture, self.path) = (fixture, path) }

    func get(_ more: String = "", headers: [String: String] = [:]) async throws -> ServiceHarness.Answer {
        try await fixture.service.request("GET", path + more, headers: headers, as: .none)
    }

    func post(
        _ fields: [(String, String)], headers: [String: String] = [:]
    ) async throws -> ServiceHarness.Answer {
        try await post("", fields, headers: headers)
    }

    func post(
        _ more: String, _ fields: [(String, String)], headers: [String: String] = [:]
    ) async throws -> ServiceHarness.Answer {
        try await post(more, body: Array(Self.encoded(fields).utf8), headers: headers)
    }

    func post(
        _ more: String = "", body: [UInt8], headers: [String: String] = [:]
    ) async throws -> ServiceHarness.Answer {
        try await fixture.service.request(
            "POST", path + more, body: body,
            headers: ["Content-Type": "application/x-www-form-urlencoded"].merging(headers) { $1 },
            as: .none)
    }

    static func encoded(_ fields: [(String, String)]) -> String {
        fields.map { name, value in
            [name, value].map {
                $0.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
            }.joined(separator: "=")
        }.joined(separator: "&")
    }

    /// The token of the page's form that goes to an address ending so: `""` is the one that saves.
    func token(_ action: String = "", on page: String = "") async throws -> String {
        try Self.token(action, in: try await get(page).text, path: path)
    }

    static func token(_ action: String, in html: String, path: String) throws -> String {
        let name = path.split(separator: "/").last.map(String.init) ?? ""
        for form in html.components(separatedBy: "<form method=\"post\" action=\"").dropFirst() {
            let address = form.prefix { $0 != "?" }
            guard address.hasSuffix(name + action) else { continue }
            return try #require(form.firstMatch(of: /name="form" value="([^"]+)"/)).1.description
        }
        throw PageProblem.noForm
    }

    /// Whether a box of the page is ticked.
    static func isChecked(_ name: String, _ value: String = "yes", in html: String) -> Bool {
        html.components(separatedBy: "<input ").contains {
            let tag = $0.prefix { $0 != ">" }
            return tag.contains("name=\"\(name)\"") && tag.contains("value=\"\(value)\"")
                && tag.contains(" checked")
        }
    }

    enum PageProblem: Error { case noForm }
}

extension ConsentFixture {
    /// The entries of a profile's ledger, the first first.
    func ledger(_ profile: ProfileID) async throws -> [JSON] {
        let answer = try await service.request("GET", "/v1/profiles/\(profile)/consents?limit=1000")
        return (answer.json["ledger"]?["items"]?.array ?? []).reversed()
    }

    /// Everything that consent stores, so that it shows whether something was changed.
    func stored() async throws -> [String] {
        var rows: [String] = []
        for table in [
            "consent.ledger_entry", "profiles.consent_state", "consent.privacy_request",
            "consent.privacy_step", "consent.stream_consents", "consent.stream_privacy_requests",
            "consent.stream_privacy_changes", "consent.outbox", "consent.deadline", "consent.opt_in",
        ] {
            rows += try await owner.query("SELECT row_to_json(t)::text AS row FROM \(unsafe: table) t")
                .map { "\(table) \(try $0.get("row", as: String.self))" }
        }
        return rows.sorted()
    }

    static let policy: JSON = [
        "purposes": [
            "marketing": [
                "name": "Marketing", "legalBasis": "consent", "lasts": "P13M", "directMarketing": true,
                "channels": ["email", "sms"],
                "text": [
                    "version": "2026-11",
                    "languages": ["en": "You may write to me.", "de": "Sie dürfen mir schreiben."],
                ],
            ],
            "partners": [
                "name": "<b>Partners</b> & \"co\"", "legalBasis": "legitimateInterest",
                "recipient": "A & B <Ltd>", "text": ["version": "1"],
            ],
            "orders": ["name": "Orders", "legalBasis": "contract", "text": ["version": "1"]],
        ]
    ]

    func putPolicy(_ policy: JSON = ConsentFixture.policy) async throws {
        #expect(try await service.request("PUT", "/v1/consent-policy", json: policy).status == 200)
    }
}
