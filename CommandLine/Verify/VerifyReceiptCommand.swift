import ArgumentParser
import Crypto
import Foundation
import Models
import ServiceKit

/// `martlet verify receipt`
struct VerifyReceiptCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "receipt",
        abstract: "Check that the receipt of a privacy request is what this installation has signed.",
        discussion: """
            Ends with status 1 when it is not. The receipt is the answer of GET /v1/privacy-requests/{id}/receipt. The key is
            that of the installation, or the one that is given by --public-key: then nothing has to run.

            EXAMPLE:
              martlet verify receipt receipt.json
            """)

    @OptionGroup var options: InstallationOptions
    @Argument(help: "The receipt, as consent has answered it.") var file: String
    @Option(help: "The public key in hexadecimal; that of the installation by default.")
    var publicKey: String?
    @Option(help: "An API key with the scope `consent:read`; that of the installation by default.")
    var apiKey: String?
    @Option(help: "The bundle of an access, whose parts are compared with the hashes of the receipt.")
    var bundle: String?

    func run() async throws {
        let receipt = try Self.document(file)
        let key = try await trusted()
        let faults = Self.faults(
            of: receipt, trusting: key, bundle: try bundle.map(Self.document))
        print(Self.text(receipt, faults))
        if !faults.isEmpty { throw ExitCode(1) }
    }

    private static func document(_ path: String) throws -> JSON {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw CommandProblem("\(path) can't be read")
        }
        guard let document = try? JSONParser.parse(Array(data)[...]) else {
            throw CommandProblem("\(path) is not JSON")
        }
        return document
    }

    /// The key that receipts have to be signed by.
    private func trusted() async throws -> String {
        if let publicKey { return publicKey.lowercased() }
        guard
            let key = apiKey ?? ProcessInfo.processInfo.environment["MARTLET_API_KEY"]
                ?? options.installation.read(.adminKey)
        else { throw CommandProblem("no API key is known; give --api-key, or the --public-key") }
        let url = options.installation.url(of: .consent)
        let answer = try await APIClient.with { api in
            try await api.send("GET", "\(url)/v1/audit/heads", as: .bearer(key))
        }
        guard answer.status == 200, let own = answer.json?["publicKey"]?.string else {
            throw CommandProblem("the installation's key can't be read: \(answer.problem)")
        }
        return own
    }

    /// What is wrong with a receipt; nothing when it holds.
    static func faults(of receipt: JSON, trusting key: String, bundle: JSON? = nil) -> [String] {
        guard var members = receipt.object, members["kind"]?.string == "martlet-privacy-receipt-1" else {
            return ["this is no receipt of a privacy request"]
        }
        let signature = members.removeValue(forKey: "signature")?.string.flatMap(bytes) ?? []
        let named = members.removeValue(forKey: "publicKey")?.string ?? ""
        guard named == key else { return ["it is signed by another key than this installation's"] }
        guard let raw = bytes(key),
            let verifying = try? Curve25519.Signing.PublicKey(rawRepresentation: Data(raw)),
            verifying.isValidSignature(
                Data(signature), for: Data(JSON.object(members).compact.utf8))
        else { return ["it was altered: the signature is not that of its content"] }
        guard let bundle else { return [] }
        let stores = receipt["stores"]?.array ?? []
        let listed = Set(stores.compactMap { $0["service"]?.string })
        let more = Set(bundle["services"]?.object?.keys.map { $0 } ?? []).subtracting(listed)
        let unlisted = more.sorted().map {
            "the bundle has something of \($0), which the receipt does not list"
        }
        return unlisted
            + stores.compactMap { store in
                let service = store["service"]?.string ?? ""
                guard store["sha256"]?.string != nil else {
                    return
                        "the receipt has no hash of what \(service) reported, so nothing shows that it was this"
                }
                let found = bundle["services"]?[service] ?? .null
                let digest = SHA256.hash(data: Data(found.compact.utf8))
                let text = digest.map { byte in
                    let digits = String(byte, radix: 16)
                    return digits.count == 1 ? "0" + digits : digits
                }.joined()
                return text == store["sha256"]?.string
                    ? nil : "what the bundle has of \(service) is not what was given out"
            }
    }

    private static func bytes(_ text: String) -> [UInt8]? {
        let digits = Array(text.utf8)
        guard digits.count.isMultiple(of: 2), text.allSatisfy(\.isHexDigit) else { return nil }
        var bytes: [UInt8] = []
        for place in stride(from: 0, to: digits.count, by: 2) {
            guard let byte = UInt8(String(decoding: digits[place..<place + 2], as: UTF8.self), radix: 16)
            else { return nil }
            bytes.append(byte)
        }
        return bytes
    }

    /// For people.
    static func text(_ receipt: JSON, _ faults: [String]) -> String {
        if !faults.isEmpty { return faults.joined(separator: "\n") }
        let what = "\(receipt["type"]?.string ?? "") \(receipt["requestId"]?.string ?? "")"
        let lines = (receipt["stores"]?.array ?? []).map { store in
            let counts = (store["counts"]?.object ?? [:]).sorted { $0.key < $1.key }
                .map { "\($0.key) \($0.value.compact)" }.joined(separator: ", ")
            return "  \(store["service"]?.string ?? ""): \(counts.isEmpty ? "reported" : counts)"
        }
        return (["nothing wrong: \(what), ended \(receipt["endedAt"]?.string ?? "")"] + lines)
            .joined(separator: "\n")
    }
}
