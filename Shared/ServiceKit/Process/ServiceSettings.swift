import Configuration
import Foundation
package import Models
import SystemPackage

/// Settings of a process: the environment (`MARTLET_…`) first, then the JSON file named by `MARTLET_SETTINGS`.
///
/// In the file a name becomes nested lower-case keys: `MARTLET_SMTP_URL` is `{"martlet": {"smtp": {"url": …}}}`.
package struct ServiceSettings: Sendable {
    private let reader: ConfigReader

    package init(environment: [String: String] = ProcessInfo.processInfo.environment) async throws {
        var providers: [any ConfigProvider] = [
            EnvironmentVariablesProvider(environmentVariables: environment)
        ]
        if let file = environment["MARTLET_SETTINGS"] {
            providers.append(try await FileProvider<JSONSnapshot>(filePath: FilePath(file)))
        }
        reader = ConfigReader(providers: providers)
    }

    /// A setting by the part of its name after `MARTLET_`, e.g. `SMTP_URL`; nil when absent or empty.
    package func string(_ name: String) -> String? {
        let key = ConfigKey(["martlet"] + name.lowercased().split(separator: "_").map(String.init))
        let value = reader.string(forKey: key, isSecret: true)
        return value?.isEmpty == true ? nil : value
    }

    /// A setting that must be there.
    package func required(_ name: String) throws(SettingsError) -> String {
        guard let value = string(name) else { throw .missing("MARTLET_" + name) }
        return value
    }

    /// A whole number within bounds.
    package func int(_ name: String, in range: ClosedRange<Int>, default fallback: Int) throws(SettingsError)
        -> Int
    {
        guard let text = string(name) else { return fallback }
        guard let value = Int(text), range.contains(value) else {
            throw .invalid(
                "MARTLET_" + name, expected: "a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    /// A duration such as `90s` or `30d`.
    package func duration(_ name: String, default fallback: Duration) throws(SettingsError) -> Duration {
        guard let text = string(name) else { return fallback }
        guard let value = Duration(text: text) else {
            throw .invalid("MARTLET_" + name, expected: "a duration such as 90s, 15m, 48h or 30d")
        }
        return value
    }

    /// The proxies whose word on where a request came from is taken; none unless said.
    package func trustedProxies() throws(SettingsError) -> TrustedProxies {
        guard let text = string("TRUSTED_PROXIES") else { return .none }
        guard let proxies = TrustedProxies(text) else {
            throw .invalid(
                "MARTLET_TRUSTED_PROXIES",
                expected: "addresses or networks such as 10.0.0.0/8, with commas between"
            )
        }
        return proxies
    }

    /// The secret in `MARTLET_<name>`, or in the file that `MARTLET_<name>_FILE` names.
    package func secret(_ name: String) throws(SettingsError) -> String {
        if let value = string(name) { return value }
        let path = try required(name + "_FILE")
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            throw .invalid("MARTLET_\(name)_FILE", expected: "a file that this process can read")
        }
        return text.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// Where a service answers: `MARTLET_<SERVICE>_URL`, else the default port on this machine.
    package func url(of service: ServiceName) -> String {
        string(service.rawValue + "_URL") ?? "http://127.0.0.1:\(service.defaultPort)"
    }
}

/// A setting that is missing or wrong, and what to do about it.
package enum SettingsError: Error, Sendable, CustomStringConvertible {
    case missing(String)
    case invalid(String, expected: String)

    package var description: String {
        switch self {
        case .missing(let name):
            "\(name) is not set; set it in the environment or in the file that MARTLET_SETTINGS names"
        case .invalid(let name, let expected): "\(name) must be \(expected)"
        }
    }
}
