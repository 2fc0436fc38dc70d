import Crypto
import FoundationEssentials
import IngestionDomain

/// What verifiers share: codes, their texts, and a comparison that takes as long whatever it finds.
enum Signing {
    /// The code of a message.
    static func code(
        _ message: [UInt8], key: [UInt8], algorithm: HMACSignature.Algorithm = .sha256
    ) -> [UInt8] {
        let key = SymmetricKey(data: key)
        return switch algorithm {
        case .sha256: Array(HMAC<SHA256>.authenticationCode(for: message, using: key))
        case .sha512: Array(HMAC<SHA512>.authenticationCode(for: message, using: key))
        }
    }

    static func base64(_ bytes: [UInt8]) -> String { Data(bytes).base64EncodedString() }

    /// In lower case.
    static func hex(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(
            decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    static func digest(_ bytes: [UInt8]) -> String { hex(SHA256.hash(data: bytes)) }

    /// Compares digests, so that neither the length nor the place of the first difference shows in the time; texts are
    /// compared and not bytes, because more than one base64 text decodes to the same bytes.
    static func equal(_ left: some Collection<UInt8>, _ right: some Collection<UInt8>) -> Bool {
        SHA256.hash(data: Array(left)) == SHA256.hash(data: Array(right))
    }

    /// Whether one of the given signatures is the message's under one of the keys. All are tried whatever is found.
    static func isSigned(
        _ message: [UInt8], by given: [String], secret: WebhookSecret, text: ([UInt8]) -> String,
        algorithm: HMACSignature.Algorithm = .sha256
    ) throws(WebhookRefusal) -> Bool {
        guard !secret.keys.isEmpty else { throw .noSecret }
        var isSigned = false
        for key in secret.keys {
            let expected = text(code(message, key: key, algorithm: algorithm)).utf8
            for candidate in given where equal(expected, candidate.utf8) { isSigned = true }
        }
        return isSigned
    }
}

extension VerifiedWebhook {
    /// The request, recognised later by what was `signed`.
    init(_ request: WebhookRequest, scheme: String, signed: [UInt8], rule: ReplayRule, keep: Duration) {
        self.init(
            verified: request, bodyDigest: Signing.digest(request.body),
            replayKey: ReplayKey(text: "\(scheme):\(Signing.digest(signed))", rule: rule, keep: keep))
    }
}

extension WebhookRequest {
    /// A header that has to be there.
    func required(_ name: String) throws(WebhookRefusal) -> String {
        guard let value = header(name) else { throw .missingHeader(name) }
        return value
    }
}
