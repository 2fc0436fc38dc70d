import Foundation
import Logging
import Models
import Postgres
import ServiceKit
import Streams
import TestSupport
import Testing

@Suite("A service over HTTP", .enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)"))
struct ServiceOverHTTPTests {
    private let start = Instant(milliseconds: 1_700_000_000_000)

    private func withProbe<T>(
        settings: [String: String] = [:], workers: Bool = false,
        _ body: (ServiceHarness, TestDatabase) async throws -> T
    ) async throws -> T {
        let database = try await TestDatabase.make(services: [ProbeService.definition])
        return try await ServiceHarness.with(
            ProbeService.definition, database: database, clock: SimulatedClock(start), workers: workers,
            settings: settings
        ) { try await body($0, database) }
    }

    @Test("every service answers for its health, its metrics and its contract")
    func operations() async throws {
        try await withProbe { service, _ in
            #expect(try await service.request("GET", "/livez", as: .none).status == 200)
            #expect(try await service.request("GET", "/readyz", as: .none).status == 200)
            #expect(try await service.request("GET", "/openapi.yaml", as: .none).text == "openapi: 3.1.0\n")
            let metrics = try await service.request("GET", "/metrics", as: .none)
            #expect(metrics.status == 200)
            #expect(metrics.text.contains("martlet_process_resident_memory_bytes"))
        }
    }

    @Test(
        "it refuses readiness when PostgreSQL would not keep what it acknowledged",
        arguments: ["synchronous_commit"])
    func durability(setting: String) async throws {
        try await withProbe { service, database in
            let owner = database.pool()
            try await owner.execute(
                "ALTER DATABASE \(identifier: database.name) SET \(unsafe: setting) = off")
            await owner.close()
            // A session that starts after the change, as a service that starts then would have.
            try await ServiceHarness.with(
                ProbeService.definition, database: database, clock: SimulatedClock(start), workers: false
            ) { late in
                let answer = try await late.request("GET", "/readyz", as: .none)
                #expect(answer.status == 503)
                #expect(answer.json["detail"]?.string?.contains(setting) == true)
            }
            #expect(try await service.request("GET", "/livez", as: .none).status == 200)
        }
    }

    @Test("mistakes of the caller are problems that say what was expected")
    func problems() async throws {
        try await withProbe { service, _ in
            let cases: [(String, String, [UInt8]?, [String: String], Int)] = [
                ("GET", "/v1/nothing", nil, [:], 404),
                ("DELETE", "/v1/open", nil, [:], 405),
                ("QUERY", "/v1/open", nil, [:], 405),
                ("POST", "/v1/items", Array("{\"a\":1,}".utf8), [:], 400),
                ("POST", "/v1/items", Array("{\"a\":\"\\u0000\"}".utf8), [:], 400),
                ("POST", "/v1/items", [UInt8](repeating: 0x5B, count: 900), [:], 400),
                ("POST", "/v1/items", [UInt8](repeating: 0x20, count: 2_000), [:], 413),
                ("POST", "/v1/items", Array("{}".utf8), ["Content-Type": "text/html"], 415),
                ("GET", "/v1/list?limit=11", nil, [:], 400),
                ("GET", "/v1/list?cursor=forged", nil, [:], 400),
                ("GET", "/v1/items/%00", nil, [:], 400),
                ("GET", "/v1/streams/unknown", nil, [:], 404),
                ("GET", "/v1/streams/profile-events/64", nil, [:], 400),
                ("GET", "/v1/streams/profile-events?after=1:x", nil, [:], 400),
            ]
            for (method, path, body, headers, status) in cases {
                let answer = try await service.request(method, path, body: body, headers: headers)
                #expect(answer.status == status, "\(method) \(path)")
                #expect(answer.headers["content-type"] == "application/problem+json", "\(method) \(path)")
                #expect(answer.json["status"]?.integer == Int64(status))
                #expect(answer.json["type"]?.string?.hasPrefix("https://martlet.dev/problems/") == true)
            }
            #expect(try await service.request("DELETE", "/v1/open").headers["allow"] == "GET")
        }
    }

    @Test("an unknown error is a 500 that tells nothing of the inside; a database away is a 503 to try again")
    func errors() async throws {
        try await withProbe { service, _ in
            let broken = try await service.request("GET", "/v1/broken", as: .none)
            #expect(broken.status == 500)
            #expect(!broken.text.contains("secret@example.com"))
            let away = try await service.request("GET", "/v1/away", as: .none)
            #expect(away.status == 503)
            #expect(away.headers["retry-after"] == "1")
        }
    }

    @Test("a key may do what its scopes say, until it is rotated or revoked")
    func apiKeys() async throws {
        try await withProbe { service, database in
            let owner = database.pool()
            let keys = APIKeyStore(pool: owner)
            let now = Instant.fromSystemClock()
            let (key, text) = try await keys.create(name: "crm", scopes: [.profilesRead], now: now)
            let stored = try await owner.query("SELECT * FROM platform.api_key")
            #expect(stored.count == 1)
            #expect(try await service.request("GET", "/v1/items/7", as: .bearer(text)).json == ["id": "7"])
            #expect(
                try await service.request("POST", "/v1/items", json: [:], as: .bearer(text)).status == 403)
            #expect(try await service.request("GET", "/v1/items/7", as: .none).status == 401)
            #expect(try await service.request("GET", "/v1/items/7", as: .bearer("mk_wrong")).status == 401)
            #expect(try await service.request("GET", "/v1/services-only", as: .bearer(text)).status == 403)

            let successor = try #require(try await keys.rotate(key.id, overlap: .zero, now: now))
            #expect(
                try await service.request("GET", "/v1/items/7", as: .bearer(successor.text)).status == 200)
            #expect(try await keys.find(text: text, now: now + .seconds(1)) == nil)
            #expect(try await keys.revoke(successor.key.id, now: now))
            #expect(try await keys.find(text: successor.text, now: now) == nil)
            #expect(try await !keys.revoke(successor.key.id, now: now))
            #expect(try await keys.list().map(\.name) == ["crm", "crm"])
            let text2 = try await owner.query(
                "SELECT key_id::text || name || encode(secret_hash, 'escape') AS all FROM platform.api_key")
            for row in text2 { #expect(try !row.get("all", as: String.self).contains(text.dropFirst(3))) }
            await owner.close()
        }
    }

    @Test("a caller over its rate is told when to come back")
    func rate() async throws {
        try await withProbe(settings: ["MARTLET_RATE_LIMIT_PER_SECOND": "1", "MARTLET_RATE_LIMIT_BURST": "3"])
        {
            service, _ in
            var statuses: [Int] = []
            // However slow the machine: it can't be so slow that each of these comes a second after the last.
            while statuses.last != 429, statuses.count < 60 {
                statuses.append(try await service.request("GET", "/v1/open", as: .none).status)
            }
            #expect(statuses.prefix(3).allSatisfy { $0 == 200 })
            #expect(statuses.last == 429)
            // Another service of the installation is not held up by it.
            #expect(try await service.request("GET", "/v1/items/1", as: .service(.delivery)).status == 200)
        }
    }

    @Test("behind a trusted proxy it is the proxy's clients that are counted, elsewhere whoever connects")
    func forwarded() async throws {
        let rate = ["MARTLET_RATE_LIMIT_PER_SECOND": "1", "MARTLET_RATE_LIMIT_BURST": "1"]
        let behind = rate.merging(["MARTLET_TRUSTED_PROXIES": "127.0.0.0/8, 10.0.0.0/8"]) { $1 }
        try await withProbe(settings: behind) { service, _ in
            for number in 0..<20 {
                // What the client itself says before the proxy's word changes nothing.
                let answer = try await service.request(
                    "GET", "/v1/open",
                    headers: ["X-Forwarded-For": "198.51.100.1, 203.0.113.\(number), 10.0.0.7"], as: .none)
                #expect(answer.status == 200)
            }
            var last = 200
            for number in 0..<60 where last != 429 {
                last = try await service.request(
                    "GET", "/v1/open", headers: ["X-Forwarded-For": "198.51.100.\(number), 203.0.113.200"],
                    as: .none
                ).status
            }
            #expect(last == 429)
        }
        try await withProbe(settings: rate) { service, _ in
            var last = 200
            for number in 0..<60 where last != 429 {
                last = try await service.request(
                    "GET", "/v1/open", headers: ["X-Forwarded-For": "203.0.113.\(number)"], as: .none
                ).status
            }
            #expect(last == 429)
        }
    }

    @Test(
        "the client is the last address that no trusted proxy has",
        arguments: [
            ("192.0.2.1", "203.0.113.5", "192.0.2.1"), ("10.0.0.1", "203.0.113.5", "203.0.113.5"),
            ("::ffff:10.0.0.1", "203.0.113.5:4711", "203.0.113.5"),
            ("10.0.0.1", "[2001:db8::1]:80", "2001:db8::1"),
            ("10.0.0.1", "1.2.3.4, 203.0.113.5, 10.9.9.9", "203.0.113.5"),
            ("10.0.0.1", "nonsense", "10.0.0.1"),
            ("10.0.0.1", "203.0.113.5, unknown", "10.0.0.1"), ("10.0.0.1", "", "10.0.0.1"),
            ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"), ("unknown", "203.0.113.5", "unknown"),
        ])
    func client(peer: String, forwarded: String, expected: String) throws {
        let proxies = try #require(TrustedProxies("10.0.0.0/8"))
        #expect(proxies.client(of: peer, forwarded: forwarded) == expected)
        #expect(TrustedProxies.none.client(of: peer, forwarded: forwarded) == peer)
        #expect(TrustedProxies("10.0.0.0/8,elsewhere") == nil)
    }

    @Test("its streams are read over HTTP, one shard or several, with their heads")
    func streams() async throws {
        try await withProbe(workers: true) { service, database in
            let owner = database.pool()
            let key = "k"
            let shard = Shard(hashing: key)
            try await owner.transaction { transaction in
                try await StreamWriter(.profileEvents).append(
                    (1...3).map { NewRecord(shard: shard, key: key, body: ["n": .integer($0)]) }, at: start,
                    in: transaction)
            }
            let one = try await service.request(
                "GET", "/v1/streams/profile-events/\(shard.number)?after=1&limit=1")
            #expect(one.headers["content-type"] == "application/x-ndjson")
            #expect(one.json["offset"] == 2)
            #expect(one.json["body"] == ["n": 2])
            #expect(one.json["recordedAt"]?.string == start.rfc3339)
            let several = try await service.request(
                "GET", "/v1/streams/profile-events?after=\(shard.number):0&limit=10&wait=1")
            #expect(several.text.split(separator: "\n").count == 3)
            let heads = try await service.request("GET", "/v1/streams/profile-events/heads")
            #expect(heads.json == ["heads": [["shard": .integer(Int64(shard.number)), "offset": 3]]])
            #expect(
                try await service.request("GET", "/v1/streams/profile-events/heads", as: .none).status == 401)
            await owner.close()
        }
    }

    @Test(
        "a call in the outbox is made after its commit, again while the receiver is away, and once it answers no more"
    )
    func outbox() async throws {
        // The receiver is the probe itself, so that a refusal (404) is retried and stays.
        try await withProbe(settings: ["MARTLET_INGESTION_URL": "http://127.0.0.1:9"]) { service, database in
            let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
            let called = try await service.request(
                "POST", "/v1/call", headers: ["traceparent": trace], as: .none)
            #expect(called.status == 202)
            let worker = OutboxWorker(
                schema: "identity", pool: service.context.pool, hub: service.context.hub,
                http: service.context.http, vault: service.context.vault,
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            #expect(try await worker.flush() == 1)
            let owner = database.pool()
            let row = try #require(
                try await owner.query("SELECT attempts, last_error, traceparent FROM identity.outbox")
                    .first)
            #expect(try row.get("traceparent", as: String.self) == trace)
            #expect(try row.get("attempts", as: Int64.self) == 1)
            #expect(try row.get("last_error", as: String.self) == "RetryLater")
            await owner.close()
        }
    }
}

@Suite("Service tokens")
struct ServiceTokenTests {
    private let now = Instant(milliseconds: 1_700_000_000_000)

    @Test("a token is good for its audience, until it expires, and only unaltered")
    func tokens() throws {
        let tokens = try ServiceTokens(secret: ServiceHarness.secret)
        let token = tokens.issue(from: .journeys, to: .delivery, now: now)
        #expect(tokens.verify(token, audience: .delivery, now: now) == .journeys)
        #expect(tokens.verify(token, audience: .identity, now: now) == nil)
        #expect(tokens.verify(token, audience: .delivery, now: now + ServiceTokens.lifetime) == nil)
        #expect(tokens.verify(token + "x", audience: .delivery, now: now) == nil)
        for index in token.indices {
            var altered = token
            altered.replaceSubrange(index...index, with: token[index] == "A" ? "B" : "A")
            // The last character of base64 may hold unused bits, so an alteration there can decode to the same.
            if index == token.index(before: token.endIndex) || altered == token { continue }
            #expect(tokens.verify(altered, audience: .delivery, now: now) == nil)
        }
        let other = try ServiceTokens(secret: String(repeating: "o", count: 40))
        #expect(other.verify(token, audience: .delivery, now: now) == nil)
        #expect(throws: AccessError.self) { try ServiceTokens(secret: "short") }
    }
}

@Suite("The rehearsal clock", .enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)"))
struct RehearsalClockTests {
    private let start = Instant(milliseconds: 1_700_000_000_000)

    private func platform() async throws -> (TestDatabase, PostgresPool) {
        let database = try await TestDatabase.make([
            Migrator(schema: "platform", migrations: Schema.platformMigrations)
        ])
        return (database, database.pool())
    }

    @Test("in a rehearsal all processes see the time that was set, and it never goes back")
    func rehearsal() async throws {
        let (database, pool) = try await platform()
        #expect(try await Installation.create(rehearsal: true, startingAt: start, pool: pool))
        // A second creation changes neither the kind nor the time.
        #expect(try await Installation.create(rehearsal: false, startingAt: start + .days(3), pool: pool))
        let other = database.pool(as: .journeys)
        let clock = try await ServiceClock.ofInstallation(other)
        #expect(!clock.advancesByItself)
        #expect(try await clock.now() == start)
        try await Installation.setClock(to: start + .days(1), pool: pool)
        #expect(try await clock.now() == start + .days(1))
        await #expect(throws: ClockError.self) { try await Installation.setClock(to: start, pool: pool) }
        await other.close()
        await pool.close()
    }

    @Test("elsewhere the clock cannot be moved")
    func refused() async throws {
        let (database, pool) = try await platform()
        #expect(try await !Installation.create(rehearsal: false, startingAt: start, pool: pool))
        await #expect(throws: ClockError.self) { try await Installation.setClock(to: start, pool: pool) }
        #expect(try await ServiceClock.ofInstallation(pool).advancesByItself)
        await pool.close()
        _ = database
    }
}

@Suite("Settings")
struct SettingsTests {
    @Test("come from the environment, within bounds, and say which is wrong")
    func environment() async throws {
        let settings = try await ServiceSettings(environment: [
            "MARTLET_PORT": "99", "MARTLET_SMTP_URL": "smtp://localhost", "MARTLET_WAIT": "1d12h",
            "MARTLET_EMPTY": "",
        ])
        #expect(settings.string("SMTP_URL") == "smtp://localhost")
        #expect(settings.string("EMPTY") == nil)
        #expect(try settings.int("PORT", in: 1...100, default: 5) == 99)
        #expect(try settings.duration("WAIT", default: .zero) == .hours(36))
        #expect(throws: SettingsError.self) { try settings.int("PORT", in: 1...98, default: 5) }
        #expect(throws: SettingsError.self) { try settings.required("NOTHING") }
        #expect(settings.url(of: .identity) == "http://127.0.0.1:8102")
    }
}

@Suite("What --help says of the settings")
struct SettingsHelpTests {
    @Test("every setting that a service reads is in its help")
    func complete() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let read = /[(\s.](?:string|int|duration|secret|required)\(\s*"([A-Z_]+)"/
        var found: [String: Set<String>] = [:]
        for (folder, services) in [("Shared/ServiceKit", ServiceName.allCases)]
            + ServiceName.allCases.map({ ("Services/\($0.rawValue.capitalized)/Server", [$0]) })
        {
            let files = FileManager.default.enumerator(atPath: root.appending(path: folder).path)
            while let file = files?.nextObject() as? String {
                guard file.hasSuffix(".swift") else { continue }
                let text = try String(
                    contentsOf: root.appending(path: "\(folder)/\(file)"), encoding: .utf8)
                for match in text.matches(of: read) {
                    for service in services { found[service.rawValue, default: []].insert(String(match.1)) }
                }
            }
        }
        #expect(found["ingestion"]?.contains("INGESTION_WINDOW") == true)
        #expect(found["console"]?.contains("PORT") == true)
        for service in ServiceName.allCases {
            let help = SettingsHelp.text(of: service)
            for name in found[service.rawValue] ?? [] {
                #expect(help.contains("MARTLET_\(name) "), "\(service.rawValue): MARTLET_\(name)")
            }
        }
    }
}
