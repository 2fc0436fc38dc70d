import Foundation
import Models
import ServiceKit

/// What this machine says: files, disk, services, the way to the mail server.
struct MachineChecks {
    let installation: InstallationDirectory
    let api: APIClient
    let environment: [String: String]

    func run() async -> [Finding] {
        var findings = files() + disk()
        findings += await services()
        findings += await sharedSecret()
        findings.append(await smtp())
        return findings
    }

    private func files() -> [Finding] {
        var findings: [Finding] = []
        for file in InstallationDirectory.File.allCases {
            let path = installation.path(of: file)
            guard let attributes = try? FileManager.default.attributesOfItem(atPath: path),
                let permissions = attributes[.posixPermissions] as? Int
            else {
                findings.append(
                    .warning(
                        "keys", "\(path) is not there",
                        mend: "`martlet up` makes it; other set-ups do without"))
                continue
            }
            if permissions & 0o077 != 0 {
                findings.append(
                    .problem(
                        "keys",
                        "others than its owner may read \(path) (mode \(String(permissions, radix: 8)))",
                        mend: "chmod 600 \(path)"))
            }
        }
        return findings.isEmpty ? [.fine("keys", "readable to their owner alone")] : findings
    }

    private func disk() -> [Finding] {
        guard let attributes = try? FileManager.default.attributesOfFileSystem(forPath: installation.path),
            let free = (attributes[.systemFreeSize] as? NSNumber)?.int64Value
        else { return [.warning("disk", "the free space is not known", mend: "look with `df`")] }
        let gigabytes = Double(free) / 1_073_741_824
        let text = "\(Int(gigabytes * 10) / 10).\(Int(gigabytes * 10) % 10) GB free at \(installation.path)"
        return gigabytes > 1
            ? [.fine("disk", text)]
            : [.problem("disk", text, mend: "make room: PostgreSQL stops when it cannot write")]
    }

    private func services() async -> [Finding] {
        var findings: [Finding] = []
        for service in ServiceName.deployed {
            let url = installation.url(of: service)
            if let obstacle = await ReadinessProbe(api: api).obstacle(url) {
                findings.append(
                    .problem(
                        service.rawValue, obstacle,
                        mend:
                            "start it (`martlet up`), or see \(installation.path(of: "logs/\(service.rawValue).log"))"
                    ))
            } else {
                findings.append(.fine(service.rawValue, "ready at \(url)"))
            }
        }
        return findings
    }

    /// A route of each service that asks who is calling.
    private static let guarded: [ServiceName: String] = [
        .ingestion: "/v1/sources", .identity: "/v1/streams/profile-events/heads", .consent: "/v1/purposes",
        .segmentation: "/v1/segments", .recommendation: "/v1/catalog/items", .journeys: "/v1/journeys",
        .delivery: "/v1/templates",
    ]

    /// Whether every service takes a token that is signed with our secret.
    private func sharedSecret() async -> [Finding] {
        guard let secret = installation.read(.serviceSecret), let tokens = try? ServiceTokens(secret: secret)
        else {
            return [
                .warning(
                    "shared secret", "\(installation.path(of: .serviceSecret)) is not there or too short",
                    mend: "`martlet up` makes it; elsewhere compare MARTLET_SERVICE_SECRET of the services")
            ]
        }
        var different: [String] = []
        for service in ServiceName.deployed {
            guard let path = Self.guarded[service] else { continue }
            let token = tokens.issue(from: .console, to: service)
            let answer = try? await api.send(
                "GET", installation.url(of: service) + path, as: .bearer(token), timeout: .seconds(5))
            if answer?.status == 401 { different.append(service.rawValue) }
        }
        return different.isEmpty
            ? [.fine("shared secret", "the same in every service that answers")]
            : [
                .problem(
                    "shared secret", "\(different.joined(separator: ", ")) runs with another secret",
                    mend: "give every service the same MARTLET_SERVICE_SECRET_FILE and start it again")
            ]
    }

    private func smtp() async -> Finding {
        guard let text = environment["MARTLET_SMTP_URL"], !text.isEmpty else {
            return .fine("mail", "no MARTLET_SMTP_URL here: mails go to \(installation.path(of: "outbox"))")
        }
        guard let url = URL(string: text), let host = url.host() else {
            return .problem(
                "mail", "MARTLET_SMTP_URL is no URL",
                mend: "give one such as smtp://user:password@mail.example:587")
        }
        let port = url.port ?? (url.scheme == "smtps" ? 465 : 25)
        do {
            let greeting = try await SMTPGreeting.read(
                host: host, port: port, encrypted: url.scheme == "smtps")
            return .fine("mail", "\(host):\(port) answers\(greeting.isEmpty ? "" : ": \(greeting)")")
        } catch {
            return .problem(
                "mail", "\(host):\(port) does not answer (\(error))",
                mend: "see the name, the port, and what a firewall allows")
        }
    }
}
