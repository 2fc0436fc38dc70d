import Crypto
import Foundation
import Models
import Testing

@testable import CommandLine

@Suite("martlet verify receipt")
struct VerifyReceiptTests {
    private static func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    private static func signed(_ content: JSON, by key: Curve25519.Signing.PrivateKey) throws -> JSON {
        var members = content.object ?? [:]
        members["signature"] = .string(
            hexadecimal(try key.signature(for: Data(content.compact.utf8))))
        members["publicKey"] = .string(hexadecimal(key.publicKey.rawRepresentation))
        return .object(members)
    }

    @Test(
        "what was altered, signed by another key, or is something else is found; so is a bundle that is not the one"
    )
    func faults() throws {
        let (key, other) = (Curve25519.Signing.PrivateKey(), Curve25519.Signing.PrivateKey())
        let trusted = Self.hexadecimal(key.publicKey.rawRepresentation)
        let found: JSON = ["orders": [1, 2]]
        let content: JSON = [
            "kind": "martlet-privacy-receipt-1", "requestId": "r", "type": "access",
            "stores": [
                [
                    "service": "recommendation", "counts": [:],
                    "sha256": .string(Self.hexadecimal(SHA256.hash(data: Data(found.compact.utf8)))),
                ]
            ],
        ]
        let receipt = try Self.signed(content, by: key)
        #expect(VerifyReceiptCommand.faults(of: receipt, trusting: trusted).isEmpty)
        for (name, value) in [("type", "erasure"), ("note", "x"), ("signature", "00"), ("signature", "+1")] {
            var altered = receipt.object ?? [:]
            altered[name] = .string(value)
            #expect(VerifyReceiptCommand.faults(of: .object(altered), trusting: trusted).count == 1)
        }
        #expect(
            VerifyReceiptCommand.faults(of: try Self.signed(content, by: other), trusting: trusted).count == 1
        )
        #expect(VerifyReceiptCommand.faults(of: try Self.signed([:], by: key), trusting: trusted).count == 1)
        func faults(_ part: JSON) -> [String] {
            VerifyReceiptCommand.faults(
                of: receipt, trusting: trusted, bundle: ["services": ["recommendation": part]])
        }
        #expect(faults(found).isEmpty)
        #expect(faults(["orders": [1]]).count == 1)
        // A service that the receipt does not list, and one of which it has no hash.
        let more = VerifyReceiptCommand.faults(
            of: receipt, trusting: trusted,
            bundle: ["services": ["recommendation": found, "journeys": ["instances": []]]])
        #expect(more.count == 1 && more.first?.contains("journeys") == true)
        var old = content.object ?? [:]
        old["stores"] = [["service": "recommendation", "counts": [:], "sha256": .null]]
        let unhashed = VerifyReceiptCommand.faults(
            of: try Self.signed(.object(old), by: key), trusting: trusted,
            bundle: ["services": ["recommendation": found]])
        #expect(unhashed.count == 1)
    }
}
