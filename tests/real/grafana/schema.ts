// The type of our dashboards: @grafana/schema, with its open parts narrowed to the kinds of panels that we use.
// tests/real/test_dashboards.py writes each dashboard into a file that is checked against it.
import type { AnnotationQuery, Dashboard, DataSourceRef, FieldConfig, MatcherConfig, Panel, RowPanel, TableFieldOptions } from '@grafana/schema';
import type { GraphFieldConfig } from '@grafana/schema';
import type { Options as BarOptions } from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import type { Options as StatOptions } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type { Options as TableOptions } from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type { Options as LineOptions } from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';
import type { DataLink } from '@grafana/data';
// The package does not export these two.
import type { FilterFieldsByNameTransformerOptions } from './node_modules/@grafana/data/dist/types/transformations/transformers/filterByName';
import type { OrganizeFieldsTransformerOptions } from './node_modules/@grafana/data/dist/types/transformations/transformers/organize';

// In JSON an enum is its text.
type Json<T> = T extends string ? `${T}` : T extends (infer U)[] ? Json<U>[] : T extends object ? { [K in keyof T]: Json<T[K]> } : T;

// Grafana's Prometheus data source has its own package; these are the fields that we use.
interface Query {
  refId: string;
  datasource: DataSourceRef;
  expr: string;
  instant: boolean;
  range: boolean;
  format: 'table' | 'time_series';
  legendFormat?: string;
}

type Field<Custom> = Omit<FieldConfig, 'custom' | 'links'> & { links?: DataLink[]; custom?: Partial<Custom> };
type Standard = Required<Omit<Field<never>, 'custom'>>;
type Property<Custom> =
  | { [K in keyof Standard]: { id: K; value: Standard[K] } }[keyof Standard]
  | { [K in keyof Required<Custom> & string]: { id: `custom.${K}`; value: Required<Custom>[K] } }[keyof Custom & string];
type Transformation =
  | { id: 'merge'; options: Record<string, never> }
  | { id: 'filterFieldsByName'; options: FilterFieldsByNameTransformerOptions }
  | { id: 'organize'; options: OrganizeFieldsTransformerOptions };

interface Of<Type extends string, Options, Custom>
  extends Omit<Panel, 'type' | 'options' | 'targets' | 'fieldConfig' | 'transformations'> {
  type: Type;
  title: string;
  description: string;
  datasource: DataSourceRef;
  targets: Query[];
  options: Partial<Options>;
  fieldConfig: { defaults: Field<Custom>; overrides: { matcher: MatcherConfig; properties: Property<Custom>[] }[] };
  transformations?: Transformation[];
}

type Drawn =
  | Of<'table', TableOptions, TableFieldOptions>
  | Of<'stat', StatOptions, never>
  | Of<'bargauge', BarOptions, never>
  | Of<'timeseries', LineOptions, GraphFieldConfig>;

// Fields that the Prometheus data source adds to an annotation.
type Annotation = Omit<AnnotationQuery, 'target'> & {
  target: { refId: string; expr: string };
  step: string;
  titleFormat: string;
  textFormat: string;
  tagKeys: string;
  useValueForTime: boolean;
};

export type OurDashboard = Json<
  Omit<Dashboard, 'panels' | 'annotations' | 'id'> & {
    uid: string;
    panels: (Drawn | (Omit<RowPanel, 'panels'> & { panels: Drawn[] }))[];
    annotations: { list: Annotation[] };
    // What an import by hand asks for and requires; Grafana's schema has it nowhere.
    __inputs: { name: string; label: string; description: string; type: 'datasource'; pluginId: string; pluginName: string }[];
    __requires: { type: 'grafana' | 'datasource' | 'panel'; id: string; name: string; version: string }[];
  }
>;
