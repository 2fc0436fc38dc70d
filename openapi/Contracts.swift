/// The contract of each service, as it serves it at `/openapi.yaml`: the bytes of the files in this folder.
package enum Contracts {
    package static let ingestion = PackageResources.ingestion_yaml
    package static let identity = PackageResources.identity_yaml
    package static let consent = PackageResources.consent_yaml
    package static let segmentation = PackageResources.segmentation_yaml
    package static let recommendation = PackageResources.recommendation_yaml
    package static let journeys = PackageResources.journeys_yaml
    package static let delivery = PackageResources.delivery_yaml
}
