import DeliveryDomain
import DeliveryServer
import Foundation
import Models
import ServiceKit
import TestSupport
import Testing
import Yams

@Suite(
    .enabled(if: TestDatabase.isAvailable, Comment(rawValue: TestDatabase.howToEnable)),
    .serialized, .timeLimit(.minutes(5)))
struct RouteTests {
    @Test("the router and the OpenAPI file name the same operations")
    func drift() async throws {
        try await DeliveryFixture.with { fixture in
            let findings = try OpenAPIContract.drift(
                file: deliveryService.openAPI, routes: fixture.service.routes)
            #expect(findings == [])
        }
    }

    @Test("a template with mistakes is refused with the part, the line, the column and what was expected")
    func mistakes() async throws {
        try await DeliveryFixture.with { fixture in
            let answer = try await fixture.service.request(
                "PUT", "/v1/templates/bad",
                json: ["subject": "{{ a | shout }}", "html": "<p>\n  {% if x %}", "text": "fine"])
            #expect(answer.status == 422)
            #expect(answer.json["type"]?.string == "https://martlet.dev/problems/invalid-template")
            let errors = answer.json["errors"]?.array ?? []
            #expect(errors.map { $0["part"]?.string } == ["subject", "html"])
            #expect(errors.map { $0["line"]?.integer } == [1, 2])
            #expect(errors.map { $0["column"]?.integer } == [8, 3])
            #expect(errors.last?["expected"] == "{% endif %}")
            #expect(try await fixture.service.request("GET", "/v1/templates/bad").status == 404)
        }
    }

    @Test("templates have versions, and a writer who has seen an old one is told")
    func versions() async throws {
        try await DeliveryFixture.with { fixture async throws in
            func put(_ text: String, _ headers: [String: String] = [:]) async throws -> ServiceHarness.Answer
            {
                try await fixture.service.request(
                    "PUT", "/v1/templates/a", json: ["subject": "s", "html": "h", "text": .string(text)],
                    headers: headers)
            }
            #expect(try await put("1").status == 201)
            #expect(try await put("2", ["If-Match": "\"1\""]).headers["etag"] == "\"2\"")
            #expect(try await put("3", ["If-Match": "\"1\""]).status == 412)
            #expect(try await put("3", ["If-None-Match": "*"]).status == 412)
            #expect(try await fixture.service.request("GET", "/v1/templates/a").json["text"] == "2")
            #expect(try await fixture.service.request("DELETE", "/v1/templates/a").status == 204)
            #expect(try await fixture.service.request("GET", "/v1/templates/a").status == 404)
            #expect(try await put("4").headers["etag"] == "\"3\"")
            #expect(try await fixture.service.request("GET", "/v1/templates", as: .none).status == 401)
        }
    }

    @Test("addresses are suppressed, found and released by their hash alone")
    func suppressions() async throws {
        try await DeliveryFixture.with { fixture in
            let put = try await fixture.service.request(
                "PUT", "/v1/suppressions", json: ["address": "Jo@Example.org", "purpose": "marketing"])
            #expect(put.status == 200 && put.json["reason"] == "manual")
            #expect(!put.text.lowercased().contains("jo@"))
            let found = try await fixture.service.request(
                "POST", "/v1/suppressions/lookup", json: ["address": "jo@example.org"])
            #expect(found.json["items"]?.array == [put.json])
            #expect(
                try await fixture.service.request("GET", "/v1/suppressions").json["items"]?.array == [
                    put.json
                ])
            let id = try #require(put.json["id"]?.string)
            #expect(try await fixture.service.request("DELETE", "/v1/suppressions/\(id)").status == 204)
            #expect(try await fixture.service.request("DELETE", "/v1/suppressions/\(id)").status == 404)
            #expect(
                try await fixture.service.request("PUT", "/v1/suppressions", json: ["address": "jo"]).status
                    == 400)
        }
    }

    @Test("links that were tampered with lead nowhere")
    func tampering() async throws {
        try await DeliveryFixture.with { fixture in
            try await fixture.put(html: "<a href='https://shop.example'>x</a>")
            let jo = try await fixture.makeProfile(email: "jo@example.org")
            let message = try await fixture.message(try await fixture.want(jo), in: "delivered")
            let paths = DeliveryFixture.trackingPaths(try fixture.file(message))
            let link = try #require(paths.first { $0.hasPrefix("/t/c/") })
            for index in link.indices.dropFirst(5) {
                var changed = link
                changed.replaceSubrange(index...index, with: link[index] == "A" ? "B" : "A")
                let status = try await fixture.service.request("GET", changed, as: .none).status
                #expect(status == 404, "\(changed) instead of \(link)")
            }
            let token = link.dropFirst(5)
            for path in ["/t/u/\(token)", "/t/o/\(token).gif", "/t/c/", "/t/c/x", "/t/o/x"] {
                #expect(try await fixture.service.request("GET", path, as: .none).status == 404)
            }
        }
    }
}

@Suite struct ExampleTemplateTests {
    private static let folder = DeliveryFixture.repository.appending(path: "deploy/examples/templates")

    @Test("every example template parses, renders with nothing, and renders with everything")
    func examples() throws {
        let files = try FileManager.default.contentsOfDirectory(
            at: Self.folder, includingPropertiesForKeys: nil
        )
        .filter { $0.pathExtension == "yaml" }
        #expect(files.count >= 5)
        for file in files {
            let parts = try YAMLDecoder().decode([String: String].self, from: try Data(contentsOf: file))
            let template = try MailTemplate(
                subject: try #require(parts["subject"]), html: try #require(parts["html"]),
                text: try #require(parts["text"]))
            let bare = try template.render([:], now: DeliveryFixture.start)
            #expect(
                !bare.subject.isEmpty && bare.text.contains("Hello,") && !bare.html.contains("Unsubscribe"))
            let full = try template.render(
                [
                    "profile": ["traits": ["firstName": "Ada & Bob"]],
                    "trigger": ["properties": ["name": "Red <lamp>", "price": "12.5", "currency": "GBP"]],
                    "unsubscribe_url": "https://m.example/t/u/x", "percent": 15,
                    "preferences_url": "https://m.example/preferences/y",
                    "recommendations": [
                        [
                            "sku": "B2", "name": "Blue vase", "price": "1999.00", "currency": "GBP",
                            "url": "https://shop.example/b2", "imageUrl": .null, "reason": "Bought together",
                        ]
                    ],
                ], now: DeliveryFixture.start)
            #expect(
                full.html.contains("Dear Ada &amp; Bob,") && full.html.contains("https://m.example/t/u/x"))
            #expect(full.html.contains("£1,999.00") && full.html.contains("https://shop.example/b2"))
            #expect(full.text.contains("* Blue vase, £1,999.00 (Bought together)"))
            for text in [full.html, full.text] {
                #expect(text.contains("https://m.example/preferences/y"))
            }
            #expect(full.text.contains("Dear Ada & Bob,"))
            #expect(!full.html.contains("<lamp>"))
        }
    }
}
