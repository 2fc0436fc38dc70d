import Foundation
import Models
import Postgres
import ServiceKit
import Synchronization
import TestSupport
import Testing

@testable import IdentityServer

@Suite(
    "Endpoints of webhooks over HTTP",
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)))
struct WebhookEndpointTests {
    private static let development = [
        "MARTLET_WEBHOOK_ALLOW_HTTP": "true", "MARTLET_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
    ]

    private func with(
        settings: [String: String] = development, workers: Bool = false,
        _ body: (ServiceHarness, IdentityDatabase) async throws -> Void
    ) async throws {
        try await IdentityDatabase.with { database in
            try await ServiceHarness.with(
                identityService, database: database.database, clock: SimulatedClock(start + .hours(1)),
                workers: workers, settings: settings
            ) { try await body($0, database) }
        }
    }

    private let path = "/v1/webhook-endpoints"

    private func create(
        _ service: ServiceHarness, _ body: JSON = ["url": "http://127.0.0.1:9/x"], key: String? = nil
    ) async throws -> ServiceHarness.Answer {
        try await service.request(
            "POST", path, json: body, headers: key.map { ["Idempotency-Key": $0] } ?? [:])
    }

    @Test("the secret is shown when it is made and never again, and is sealed in the database")
    func secret() async throws {
        try await with { service, database in
            let made = try await create(service)
            #expect(made.status == 201)
            let id = try #require(made.json["endpointId"]?.string)
            #expect(made.headers["location"] == "\(path)/\(id)")
            #expect(made.headers["etag"] == "\"1\"")
            let secret = try #require(made.json["secret"]?.string)
            #expect(secret.hasPrefix("whsec_"))
            #expect(Data(base64Encoded: String(secret.dropFirst(6)))?.count == 32)
            let shown = try await service.request("GET", "\(path)/\(id)")
            #expect(shown.json["secret"] == nil)
            #expect(shown.json["eventTypes"]?.array?.count == 4)
            let listed = try await service.request("GET", path)
            #expect(listed.json["items"] == [shown.json])
            let rows = try await database.owner.query(
                "SELECT e::text AS row, encode(secrets, 'escape') AS bytes FROM identity.webhook_endpoint e")
            let stored = try #require(rows.first)
            #expect(!(try stored.get("row", as: String.self)).contains(secret.dropFirst(6)))
            #expect(!(try stored.get("bytes", as: String.self)).contains(secret.dropFirst(6)))
        }
    }

    @Test("a repeated call with the same key makes one endpoint, and another call with it is refused")
    func idempotency() async throws {
        try await with { service, _ in
            let first = try await create(service, key: "k")
            let again = try await create(service, key: "k")
            #expect(again.status == 201)
            #expect(again.json == first.json)
            #expect(try await create(service, ["url": "http://127.0.0.1:9/y"], key: "k").status == 409)
            #expect(try await service.request("GET", path).json["items"]?.array?.count == 1)
            let all = try await withThrowingTaskGroup(of: ServiceHarness.Answer.self) { group in
                for _ in 0..<6 { group.addTask { try await create(service, key: "race") } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(Set(all.filter { $0.status == 201 }.map(\.json)).count == 1)
            #expect(all.allSatisfy { [201, 503].contains($0.status) })
            #expect(try await service.request("GET", path).json["items"]?.array?.count == 2)
        }
    }

    @Test("a change is made to the version that the caller knows, and an endpoint is disabled and enabled")
    func change() async throws {
        try await with { service, _ in
            let id = try #require(try await create(service).json["endpointId"]?.string)
            func patch(_ body: JSON, _ version: String? = nil) async throws -> ServiceHarness.Answer {
                try await service.request(
                    "PATCH", "\(path)/\(id)", json: body,
                    headers: version.map { ["If-Match": "\"\($0)\""] } ?? [:])
            }
            let changed = try await patch(["description": "the CRM", "eventTypes": ["profile.merged"]], "1")
            #expect(changed.status == 200)
            #expect(changed.headers["etag"] == "\"2\"")
            #expect(changed.json["eventTypes"] == ["profile.merged"])
            #expect(changed.json["url"] == "http://127.0.0.1:9/x")
            #expect(try await patch(["description": "x"], "1").status == 412)
            let disabled = try await patch(["enabled": false])
            #expect(disabled.json["disabledReason"] == "operator")
            #expect(disabled.json["version"] == 3)
            #expect(try await service.request("POST", "\(path)/\(id)/test").status == 409)
            let enabled = try await patch(["enabled": true])
            #expect(enabled.json["disabledReason"] == .null)
            #expect(try await service.request("POST", "\(path)/\(id)/test").status == 202)
            let stale = try await service.request("DELETE", "\(path)/\(id)", headers: ["If-Match": "\"1\""])
            #expect(stale.status == 412)
            #expect(try await service.request("DELETE", "\(path)/\(id)").status == 204)
            #expect(try await service.request("GET", "\(path)/\(id)").status == 404)
        }
    }

    @Test(
        "a URL that leads inside, or can be read in two ways, is refused at once",
        arguments: [
            "http://example.com/", "https://localhost/", "https://127.0.0.1/", "https://10.0.0.1/x",
            "https://169.254.169.254/latest/meta-data/", "https://[::1]/", "https://[::ffff:10.0.0.1]/",
            "https://[fd00:ec2::254]/", "https://0/", "https://2130706433/", "https://user@1.1.1.1/",
            "ftp://1.1.1.1/",
            "https://1.1.1.1/#x", "nonsense", "https://nowhere.invalid/",
        ])
    func badURL(_ url: String) async throws {
        try await with(settings: [:]) { service, _ in
            let answer = try await create(service, ["url": .string(url)])
            #expect(answer.status == 400, "\(url)")
            #expect(answer.json[path: "errors.0.path"] == "url")
            #expect(!answer.text.contains("127.0.0.1") || url.contains("127.0.0.1"))
        }
    }

    @Test("what isn't as it should be is refused with its place")
    func badInput() async throws {
        try await with { service, _ in
            let bodies: [JSON] = [
                [:], ["url": 1], ["url": "http://127.0.0.1/", "eventTypes": []],
                ["url": "http://127.0.0.1/", "eventTypes": ["webhook.test"]],
                ["url": "http://127.0.0.1/", "eventTypes": ["profile.merged", "profile.merged"]],
                ["url": "http://127.0.0.1/", "enabled": "no"], ["url": "http://127.0.0.1/", "colour": "red"],
                ["url": "http://127.0.0.1/", "description": .string(String(repeating: "x", count: 501))],
            ]
            for body in bodies {
                let answer = try await create(service, body)
                #expect(answer.status == 400, "\(body.compact)")
                #expect(answer.json["errors"]?.array?.count == 1, "\(body.compact)")
            }
            let id = try #require(try await create(service).json["endpointId"]?.string)
            for overlap: JSON in ["8d", "soon", 5] {
                let answer = try await service.request(
                    "POST", "\(path)/\(id)/rotate-secret", json: ["overlap": overlap])
                #expect(answer.status == 400)
            }
            for query in ["?state=lost", "?limit=0", "?cursor=x"] {
                #expect(try await service.request("GET", "\(path)/\(id)/deliveries\(query)").status == 400)
            }
            #expect(try await service.request("GET", path, as: .none).status == 401)
        }
    }

    @Test("a new secret signs beside the old one for a while")
    func rotation() async throws {
        try await HTTPReceiver.with { receiver in
            try await with { service, database in
                let made = try await create(service, ["url": .string(receiver.url())])
                let id = try #require(made.json["endpointId"]?.string)
                let old = try #require(made.json["secret"]?.string)
                let rotated = try await service.request(
                    "POST", "\(path)/\(id)/rotate-secret", headers: ["Idempotency-Key": "r"])
                #expect(rotated.status == 200)
                let new = try #require(rotated.json["secret"]?.string)
                #expect(new != old)
                let again = try await service.request(
                    "POST", "\(path)/\(id)/rotate-secret", headers: ["Idempotency-Key": "r"])
                #expect(again.json == rotated.json)
                try await test(service, database, id)
                let both = try #require(receiver.received.last)
                #expect(both.signatures == both.signed(by: [new, old]))
                let ended = try await service.request(
                    "POST", "\(path)/\(id)/rotate-secret", json: ["overlap": "0s"])
                let last = try #require(ended.json["secret"]?.string)
                try await test(service, database, id)
                let one = try #require(receiver.received.last)
                #expect(one.signatures == one.signed(by: [last]))
            }
        }
    }

    /// Sends a test event, and has it delivered.
    private func test(_ service: ServiceHarness, _ database: IdentityDatabase, _ id: String) async throws {
        #expect(try await service.request("POST", "\(path)/\(id)/test").status == 202)
        #expect(try await WebhookWorld(identity: database).dispatcher().deliverDue() == 1)
    }

    @Test("what was delivered is listed page by page with its attempts, and delivered once more on demand")
    func deliveries() async throws {
        try await HTTPReceiver.with { receiver in
            try await with { service, database in
                let made = try await create(service, ["url": .string(receiver.url())])
                let id = try #require(made.json["endpointId"]?.string)
                for _ in 0..<5 { try await test(service, database, id) }
                var seen: [String] = []
                var cursor = ""
                repeat {
                    let page = try await service.request(
                        "GET", "\(path)/\(id)/deliveries?state=delivered&limit=2\(cursor)"
                    ).json
                    for item in page["items"]?.array ?? [] {
                        seen.append(item["deliveryId"]?.string ?? "")
                        #expect(item["attempts"]?.array?.map { $0["status"] } == [204])
                    }
                    cursor = page["nextCursor"]?.string.map { "&cursor=\($0)" } ?? ""
                } while !cursor.isEmpty
                #expect(seen.count == 5 && seen == seen.sorted(by: >))
                let chosen = try #require(seen.last)
                let redelivery = "\(path)/\(id)/deliveries/\(chosen)/redeliver"
                #expect(try await service.request("POST", redelivery).status == 202)
                #expect(try await WebhookWorld(identity: database).dispatcher().deliverDue() == 1)
                #expect(receiver.received.count == 6)
                #expect(receiver.received.last?.webhookID == chosen)
                #expect(try await service.request("POST", redelivery).status == 202)
                for _ in 0..<2 {
                    let given = try await service.request(
                        "POST", "\(path)/\(id)/deliveries/\(chosen)/cancel")
                    #expect(given.status == 200 && given.json["state"] == "cancelled")
                }
                #expect(try await WebhookWorld(identity: database).dispatcher().deliverDue() == 0)
                for unknown in ["redeliver", "cancel"] {
                    let path = "\(path)/\(id)/deliveries/\(id)/\(unknown)"
                    #expect(try await service.request("POST", path).status == 404)
                }
            }
        }
    }

    @Test("an endpoint that doesn't answer delays nobody else", .timeLimit(.minutes(3)))
    func isolation() async throws {
        let healthy = Mutex(0)
        let gate = Gate()
        // The dead one answers only after the healthy one has got everything.
        try await HTTPReceiver.with { _ in
            await gate.wait()
            return HTTPReceiver.Reply(500)
        } _: { dead in
            try await HTTPReceiver.with { _ in
                if healthy.withLock({
                    $0 += 1; return $0
                }) == 200 {
                    await gate.open()
                }
                return HTTPReceiver.Reply(200)
            } _: { alive in
                try await with(workers: true) { service, database in
                    for url in [dead.url(), alive.url()] {
                        _ = try await create(service, ["url": .string(url)])
                    }
                    try await database.publish((0..<200).map { event($0, user: "u\($0)") })
                    await gate.wait()
                    #expect(Set(alive.received.map(\.webhookID)).count == 200)
                    #expect(dead.received.count <= 16)
                }
            }
        }
    }
}

extension WebhookEndpointTests {
    @Test("twenty endpoints that are slow to answer delay nobody else", .timeLimit(.minutes(3)))
    func slowOnes() async throws {
        let healthy = Mutex(0)
        let gate = Gate()
        try await HTTPReceiver.with { _ in
            await gate.wait()
            return HTTPReceiver.Reply(200)
        } _: { slow in
            try await HTTPReceiver.with { _ in
                if healthy.withLock({
                    $0 += 1; return $0
                }) == 60 {
                    await gate.open()
                }
                return HTTPReceiver.Reply(200)
            } _: { quick in
                try await with(workers: true) { service, database in
                    for number in 0..<20 {
                        _ = try await create(service, ["url": .string(slow.url("/\(number)"))])
                    }
                    _ = try await create(service, ["url": .string(quick.url())])
                    try await database.publish((0..<60).map { event($0, user: "u\($0)") })
                    await gate.wait()
                    #expect(Set(quick.received.map(\.webhookID)).count == 60)
                    #expect(slow.received.count <= 20)
                }
            }
        }
    }
}

extension HTTPReceiver.Received {
    var signatures: String { headers["webhook-signature"] ?? "" }

    func signed(by secrets: [String]) -> String {
        WebhookSignature.header(
            id: webhookID, timestamp: headers["webhook-timestamp"].flatMap { Int64($0) } ?? 0, body: body,
            secrets: secrets)
    }
}
