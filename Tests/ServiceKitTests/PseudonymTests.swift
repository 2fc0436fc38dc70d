import Foundation
import HTTPTypes
import Models
import Testing

@testable import ServiceKit

@Suite("People under pseudonyms")
struct PseudonymTests {
    private let pseudonyms = Pseudonyms(secret: "a-secret-of-tests-that-is-long-enough-0123456789")
    private var view: PseudonymousView { PseudonymousView(pseudonyms: pseudonyms) }
    private static let planted = [
        "ada@example.com", "Ada", "Lovelace", "+4930123456789", "user-4711", "203.0.113.77",
        "St James's Square 12",
    ]

    @Test("a pseudonym is the same for the same text, however it is written, and for no other")
    func stable() {
        #expect(pseudonyms.pseudonym(of: "Ada@Example.com ") == pseudonyms.pseudonym(of: "ada@example.com"))
        #expect(pseudonyms.pseudonym(of: "ada@example.com") != pseudonyms.pseudonym(of: "ada@example.org"))
        #expect(
            pseudonyms.pseudonym(of: "ada@example.com")
                != Pseudonyms(secret: "another-secret-of-tests-that-is-long-enough").pseudonym(
                    of: "ada@example.com"))
    }

    /// What the services answer with, as far as there is anything of people in it.
    private static let answers: [String] = [
        // A profile.
        #"""
        {"profileId":"01890000-0000-7000-8000-000000000001","createdAt":"2026-11-01T00:00:00.000Z",
        "identifiers":[{"type":"email","value":"ada@example.com","firstSeen":"2026-11-01T00:00:00.000Z"},
        {"type":"userId","value":"user-4711"},{"type":"salesforce:contact","value":"user-4711"}],
        "traits":{"firstName":{"value":"Ada","occurredAt":"2026-11-01T00:00:00.000Z","messageId":"m-1",
        "sourceId":"01890000-0000-7000-8000-000000000002"},"age":{"value":36},
        "address":{"value":{"street":"St James's Square 12","city":"London"}},
        "emails":{"rule":"union","value":["ada@example.com"],"from":[{"value":"ada@example.com","messageId":"m-2"}]}}}
        """#,
        // What a person did.
        #"""
        {"items":[{"messageId":"m-1","type":"track","event":"Order Completed","userId":"user-4711",
        "anonymousId":"01890000-0000-7000-8000-0000000000aa","occurredAt":"2026-11-01T00:00:00.000Z",
        "properties":{"category":"Shoes","total":"12.50","email":"ada@example.com","note":"Ada asked to be called",
        "products":[{"sku":"A-1","name":"Boots","price":"12.50"}],"shipping":{"name":"Ada Lovelace","phone":"+4930123456789"},
        "memo":"by user-4711 herself"},
        "context":{"ip":"203.0.113.77","userAgent":"Firefox","traits":{"lastName":"Lovelace"},
        "externalIds":[{"id":"user-4711","type":"crm"}],"device":{"id":"01890000-0000-7000-8000-0000000000bb"}}}],
        "nextCursor":"WyJ0cmFjazAxMjM0NTY3ODkwMTIiXQ"}
        """#,
        // A message.
        #"""
        {"messageId":"01890000-0000-7000-8000-000000000003","channel":"email","template":"thanks",
        "subject":"Thank you, Ada","variables":{"profile":{"firstName":"Ada"}},
        "attemptList":[{"attempt":1,"outcome":"failed","detail":"550 ada@example.com unknown"}],
        "engagement":[{"kind":"click","url":"https://shop.example/?who=user-4711","count":1}]}
        """#,
        // A consent and its evidence.
        #"""
        {"profileId":"01890000-0000-7000-8000-000000000001","purposes":[{"purpose":"marketing","state":"granted",
        "evidence":{"ip":"203.0.113.77","note":"said Ada Lovelace"}}]}
        """#,
        // A quarantined item.
        #"""
        {"quarantineId":"01890000-0000-7000-8000-000000000004","reason":"invalid-event",
        "detail":"\"Ada\" is no time","bytes":"ada@example.com","envelope":{"address":"203.0.113.77"}}
        """#,
    ]

    @Test("nothing that names somebody comes out of an answer", arguments: answers)
    func nothingComesOut(text: String) throws {
        let shown = view.shown(try JSONParser.parse(text)).compact
        for planted in Self.planted {
            #expect(!shown.lowercased().contains(planted.lowercased()), "\(planted) is in \(shown)")
        }
        #expect(!shown.contains("0000000000aa") && !shown.contains("0000000000bb"), "\(shown)")
    }

    @Test("what says nothing of who it is stays as it is")
    func rest() throws {
        let profile = view.shown(try JSONParser.parse(Self.answers[0]))
        #expect(profile["profileId"]?.string == "01890000-0000-7000-8000-000000000001")
        #expect(profile[path: "identifiers.0.type"]?.string == "email")
        #expect(profile[path: "identifiers.0.value"]?.string == pseudonyms.pseudonym(of: "ada@example.com"))
        #expect(profile[path: "identifiers.0.firstSeen"]?.string == "2026-11-01T00:00:00.000Z")
        #expect(profile[path: "traits.age.value"]?.integer == 36)
        #expect(profile[path: "traits.firstName.messageId"]?.string == "m-1")
        let timeline = view.shown(try JSONParser.parse(Self.answers[1]))
        #expect(timeline[path: "items.0.event"]?.string == "Order Completed")
        #expect(timeline[path: "items.0.properties.category"]?.string == "Shoes")
        #expect(timeline[path: "items.0.properties.total"]?.string == "12.50")
        #expect(timeline[path: "items.0.properties.products.0.name"]?.string == "Boots")
        #expect(timeline[path: "nextCursor"]?.string == "WyJ0cmFjazAxMjM0NTY3ODkwMTIiXQ")
        // The same person is the same there as in the profile.
        #expect(timeline[path: "items.0.userId"] == profile[path: "identifiers.1.value"])
    }

    @Test(
        "in an export no identifier and no trait stays, also not one that looks like an id, a count or a word"
    )
    func exports() throws {
        let id = "01890000-0000-7000-8000-000000000001"
        let device = "0b9aa21e-7a4c-4d30-8e24-0d7b3fbb1f07"
        let rows = "\(id),2026-11-01T00:00:00.000Z,3,\(device),4711,Ada,true\r\n"
        let shown = String(decoding: view.shown(csv: Array(rows.utf8)), as: UTF8.self)
        #expect(shown.hasPrefix("\(id),2026-11-01T00:00:00.000Z,3,") && shown.hasSuffix(",true\r\n"))
        for value in [device, "4711", "Ada"] { #expect(!shown.contains(value)) }
        let row = view.shown([
            "profileId": .string(id), "traits.name": "Ada Lovelace", "traits.city": "London", "version": 3,
        ])
        #expect(row["profileId"]?.string == id && row["version"]?.integer == 3)
        #expect(!row.compact.contains("Ada") && !row.compact.contains("London"))
    }

    @Test("of a computed trait it is shown what it is, and no value that names or looks like somebody")
    func computedTraits() throws {
        let shown = view.shown([
            "computedTraits": [
                [
                    "id": "last-called", "name": "Last called", "value": 4_917_012_345_678,
                    "validUntil": .null,
                ],
                [
                    "id": "standing", "name": "Standing", "value": ["segment": "Champions", "recency": 5],
                    "validUntil": .null,
                ],
                ["id": "favourite", "name": "Favourite", "value": "Ada Lovelace", "validUntil": .null],
                ["id": "orders", "name": "Orders", "value": 12, "validUntil": .null],
            ]
        ])
        let traits = try #require(shown["computedTraits"]?.array)
        #expect(traits.map { $0["id"]?.string } == ["last-called", "standing", "favourite", "orders"])
        #expect(traits[0]["name"]?.string == "Last called" && traits[3]["value"]?.integer == 12)
        #expect(traits[1][path: "value.segment"]?.string == "Champions")
        #expect(!shown.compact.contains("4917012345678") && !shown.compact.contains("Lovelace"))
    }

    @Test("of a file ids, times and counts stay")
    func csv() {
        let id = "01890000-0000-7000-8000-000000000001"
        let rows =
            "profileId,enteredAt,version,email,traits.firstName\r\n"
            + "\(id),2026-11-01T00:00:00.000Z,3,ada@example.com,\"Ada \"\"A\"\", Lovelace\"\r\n"
            + "\(id),2026-11-01T00:00:00.000Z,3,,\"\"\r\n"
        let shown = String(decoding: view.shown(csv: Array(rows.utf8)), as: UTF8.self)
        let mail = pseudonyms.pseudonym(of: "ada@example.com")
        let name = pseudonyms.pseudonym(of: #"Ada "A", Lovelace"#)
        #expect(
            shown == "profileId,enteredAt,version,email,traits.firstName\r\n"
                + "\(id),2026-11-01T00:00:00.000Z,3,\(mail),\(name)\r\n"
                + "\(id),2026-11-01T00:00:00.000Z,3,,\r\n")
    }

    @Test(
        "a key that may not see identifiers is refused what shows nothing else, and a service and an admin are not"
    )
    func refused() throws {
        let key = APIKeyID(UUIDv7.make(at: Instant(milliseconds: 1)))
        let narrow = Caller.apiKey(key, scopes: [.profilesRead])
        #expect(throws: Problem.self) { try Disclosure.check(.identifiers, caller: narrow) }
        for caller in [
            Caller.apiKey(key, scopes: [.profilesRead, .identifiersRead]), .apiKey(key, scopes: [.admin]),
            .service(.console),
        ] {
            try Disclosure.check(.identifiers, caller: caller)
        }
        let disclosure = Disclosure(pseudonyms)
        var answer = ServiceResponse.json(["userId": "user-4711"], headers: [.eTag: "\"a hash of it\""])
        let shown = try disclosure.shown(answer, touching: .people, to: narrow)
        #expect(!String(decoding: shown.body, as: UTF8.self).contains("4711"))
        #expect(shown.headers[.eTag] == nil)
        answer = .html("<p>user-4711</p>")
        #expect(throws: Problem.self) { try disclosure.shown(answer, touching: .people, to: narrow) }
        answer = .events(longest: .seconds(1)) { _ in }
        #expect(throws: Problem.self) { try disclosure.shown(answer, touching: .people, to: narrow) }
    }
}
