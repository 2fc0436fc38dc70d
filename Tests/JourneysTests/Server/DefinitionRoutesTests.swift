import Foundation
import HTTPTypes
import JourneysDomain
import JourneysServer
import Models
import Postgres
import ServiceKit
import TestSupport
import Testing
import Yams

@Suite("Definitions over HTTP", .enabled(if: TestDatabase.isAvailable, "\(TestDatabase.howToEnable)"))
struct DefinitionRoutesTests {
    @Test("a journey is created, read, changed into a new version, listed and deleted")
    func life() async throws {
        try await JourneysFixture.with { fixture in
            let created = try await fixture.put(TestJourney.abandonedCart)
            #expect(created.status == 201)
            #expect(created.json["version"] == 1)
            #expect(created.json["status"] == "active")
            #expect(created.json["source"]?.string == TestJourney.abandonedCart)
            let tag = try #require(created.headers["etag"])

            let read = try await fixture.harness.request("GET", "/v1/journeys/cart")
            #expect(read.json == created.json)
            #expect(read.headers["etag"] == tag)

            let paused = try await fixture.put(
                TestJourney.abandonedCart.replacing("status: active", with: "status: paused"),
                headers: ["If-Match": tag])
            #expect(paused.status == 200)
            #expect(paused.json["version"] == 1, "a status is no new version")
            #expect(paused.headers["etag"] != tag)

            let stale = try await fixture.put(TestJourney.abandonedCart, headers: ["If-Match": tag])
            #expect(stale.status == 412)
            let exists = try await fixture.put(TestJourney.abandonedCart, headers: ["If-None-Match": "*"])
            #expect(exists.status == 412)

            let second = try await fixture.put(TestJourney.abandonedCart.replacing("23h", with: "20h"))
            #expect(second.json["version"] == 2)

            _ = try await fixture.put(TestJourney.abandonedCart, as: "another")
            let page = try await fixture.harness.request("GET", "/v1/journeys?limit=1").json
            #expect(page["items"]?.array?.compactMap { $0["id"]?.string } == ["another"])
            let cursor = try #require(page["nextCursor"]?.string)
            let rest = try await fixture.harness.request("GET", "/v1/journeys?limit=1&cursor=\(cursor)").json
            #expect(rest["items"]?.array?.compactMap { $0["id"]?.string } == ["cart"])
            #expect(rest["nextCursor"] == .null)

            #expect(try await fixture.harness.request("DELETE", "/v1/journeys/cart").status == 204)
            #expect(try await fixture.harness.request("GET", "/v1/journeys/cart").status == 404)
            #expect(try await fixture.harness.request("DELETE", "/v1/journeys/cart").status == 404)
            let again = try await fixture.put(TestJourney.abandonedCart)
            #expect(again.status == 201)
            #expect(again.json["version"] == 3, "versions are never used again")
        }
    }

    @Test("mistakes come back with line, column, path, what was expected and what was found")
    func mistakes() async throws {
        try await JourneysFixture.with { fixture in
            let answer = try await fixture.put("entry: {event: A}\nsteps:\n  - wait: {fro: 1h}\n  - sned: {}")
            #expect(answer.status == 400)
            #expect(answer.headers["content-type"] == "application/problem+json")
            #expect(answer.json["type"] == "https://martlet.dev/problems/invalid-journey")
            let errors = answer.json["errors"]?.array ?? []
            #expect(errors.map { $0["line"] } == [3, 4])
            #expect(errors.map { $0["column"] } == [11, 5])
            #expect(errors.last?["path"] == "steps.1.sned")
            #expect(errors.last?["found"] == "`sned`")
            #expect(answer.json["detail"]?.string?.hasPrefix("cart.yaml:3:11: expected") == true)
        }
    }

    @Test("bodies that are too long, of another type, or for a bad id are refused")
    func refusals() async throws {
        try await JourneysFixture.with { fixture in
            let long = String(repeating: "# comment\n", count: 100_000)
            #expect(try await fixture.put(long).status == 413)
            let text = try await fixture.harness.request(
                "PUT", "/v1/journeys/cart", body: Array(TestJourney.abandonedCart.utf8),
                headers: ["Content-Type": "text/plain"])
            #expect(text.status == 415)
            #expect(try await fixture.put(TestJourney.abandonedCart, as: "No_Good").status == 400)
            #expect(try await fixture.harness.request("GET", "/v1/journeys/cart", as: .none).status == 401)
            #expect(try await fixture.harness.request("GET", "/v1/instances/x").status == 400)
            #expect(try await fixture.harness.request("GET", "/v1/journeys/none/instances").status == 404)
            #expect(try await fixture.harness.request("GET", "/v1/journeys?cursor=zzz").status == 400)
            for hostile in [
                String(repeating: "[", count: 200_000), "a: &a [1]\nb: [*a, *a]", "\u{FEFF}", "a: \"\\0\"",
                "%YAML 9",
            ] {
                #expect(try await fixture.put(hostile).status == 400, "\(hostile.prefix(20))")
            }
        }
    }

    @Test("the contract names exactly the routes that there are")
    func contract() async throws {
        try await JourneysFixture.with { fixture in
            let text = String(decoding: journeysService.openAPI, as: UTF8.self)
            let paths = try #require(try Yams.compose(yaml: text)?.mapping?["paths"]?.mapping)
            var documented: Set<String> = []
            for (path, item) in paths {
                for (key, _) in item.mapping ?? [:]
                where ["get", "put", "post", "delete"].contains(key.string) {
                    documented.insert("\(key.string?.uppercased() ?? "") \(path.string ?? "")")
                }
            }
            #expect(documented == Set(fixture.harness.routes.map { "\($0.method.rawValue) \($0.path)" }))
        }
    }

    @Test("the examples are journeys")
    func examples() throws {
        let folder = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../../../deploy/examples/journeys").standardizedFileURL
        let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
            .filter { $0.pathExtension == "yaml" }
        #expect(files.count >= 3)
        for file in files {
            let text = JourneyText(mediaType: "application/yaml", bytes: Array(try Data(contentsOf: file)))
            let id = file.deletingPathExtension().lastPathComponent
            #expect(try text.read(id: id).document.status == .active)
        }
    }
}
